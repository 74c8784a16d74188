/** One request's part of a trace. */
export interface RequestTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  /** Whether the trace is recorded. */
  readonly sampled: boolean;
  readonly upstreamSpanId: string | undefined;
  /** Header lines for the request to the upstream. */
  readonly lines: string;
  /** The headers of the client's head that this trace replaces. If undefined, the head has none of them. */
  readonly replaced: ReadonlySet<string> | undefined;
  /** Unix time at which the request was sent upstream. 0 before that. Set only if that request has its own span. */
  forwardedMs: number;
  /** The client's name for the operation, if it sets one. */
  readonly operationGiven: string | undefined;
}

const traceIdAt = "traceparent: 00-".length;
const spanIdAt = traceIdAt + 33;
const spanIdEnd = spanIdAt + 16;

/**
 * A trace that begins with this request and is not recorded. It only adds a header line with its ids. Few readers need
 * the ids as text, so it holds the bytes of the line.
 */
export class UnkeptTrace implements RequestTrace {
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;

  /** The line of W3C's field, which must not change. */
  constructor(bytes: Buffer, from: number, to: number) {
    this.bytes = bytes;
    this.from = from;
    this.to = to;
  }

  get lines(): string {
    return this.#text(0, this.to - this.from);
  }

  get traceId(): string {
    return this.#text(traceIdAt, spanIdAt - 1);
  }

  get spanId(): string {
    return this.#text(spanIdAt, spanIdEnd);
  }

  #text(start: number, end: number): string {
    return this.bytes.toString("latin1", this.from + start, this.from + end);
  }

  get parentSpanId(): undefined {
    return undefined;
  }

  get sampled(): boolean {
    return false;
  }

  get upstreamSpanId(): undefined {
    return undefined;
  }

  get replaced(): undefined {
    return undefined;
  }

  get forwardedMs(): number {
    return 0;
  }

  get operationGiven(): undefined {
    return undefined;
  }
}
