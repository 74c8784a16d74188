/** A unit of work of this proxy, as collectors receive it. */
export interface Span {
  /** The trace's id in hexadecimal: 32 digits, or 16 if the tracer or the client makes short ids. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Whether the parent is a span of the client, and not of this proxy. Only meaningful with a parent. */
  readonly isParentRemote: boolean;
  readonly name: string;
  readonly kind: "server" | "client";
  /** When the span began, as Unix time in milliseconds. */
  readonly startMs: number;
  readonly durationMs: number;
  readonly tags: ReadonlyMap<string, string>;
}
