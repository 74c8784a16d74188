/** A unit of work of this proxy, as collectors receive it. */
export interface Span {
  /** 32 hexadecimal digits, or 16 if the tracer asks for short ids. */
  readonly traceId: string;
  /** 16 hexadecimal digits. */
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly name: string;
  readonly kind: "server" | "client";
  /** Unix time. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly tags: ReadonlyMap<string, string>;
}
