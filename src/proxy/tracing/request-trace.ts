/** One request's part of a trace. */
export interface RequestTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Spans are made of it. */
  readonly sampled: boolean;
  readonly upstreamSpanId: string | undefined;
  /** Lines of the head that goes upstream. */
  readonly lines: string;
  /** Fields of the client's head whose place they take; undefined: it has none of them. */
  readonly replaced: ReadonlySet<string> | undefined;
  /** Unix time at which the request went upstream; 0 before. */
  forwardedMs: number;
  /** What the client calls the work, where it says so. */
  readonly operationGiven: string | undefined;
}
