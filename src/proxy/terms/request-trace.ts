import { writeHex, writtenText } from "./random-id.ts";

/** The part of a trace that belongs to one request. */
export interface RequestTrace {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | undefined;
  readonly sampled: boolean;
  readonly upstreamSpanId: string | undefined;
  /** Header lines for the request to the upstream. */
  readonly lines: string;
  /** The names of headers in the client's head that this trace replaces. Undefined if there are none. */
  readonly replaced: ReadonlySet<string> | undefined;
  /**
   * When the request was sent upstream, as Unix time in milliseconds. 0 before that. It is set only if the request
   * upstream has its own span.
   */
  forwardedMs: number;
  /** The name of the operation that the client sets. Undefined if it sets none. */
  readonly operationGiven: string | undefined;
}

const digits = "0".repeat(8);
/** W3C's header line with empty ids. The line's name is written by four stores of four bytes. */
const unkeptLine = `traceparent: 00-${digits.repeat(4)}-${digits.repeat(2)}-00\r\n`;
const lineBytes = Buffer.from(unkeptLine);
const name0 = lineBytes.readInt32LE(0);
const name1 = lineBytes.readInt32LE(4);
const name2 = lineBytes.readInt32LE(8);
const name3 = lineBytes.readInt32LE(12);
const traceIdAt = "traceparent: 00-".length;
const spanIdAt = traceIdAt + 33;
const spanIdEnd = spanIdAt + 16;
const dash = 45;
const flags = lineBytes.readInt32LE(spanIdEnd);
const lineFeed = 10;

export const traceWords = 6;

/**
 * A trace that begins with this request and is not recorded. It only adds a header line with its ids. Few readers need
 * the ids as text, so it stores the numbers of which they are made.
 */
export class UnkeptTrace implements RequestTrace {
  readonly #trace0: number;
  readonly #trace1: number;
  readonly #trace2: number;
  readonly #trace3: number;
  readonly #span0: number;
  readonly #span1: number;

  /** Copies {@link traceWords} words, from position `from` on. */
  constructor(words: Int32Array, from: number) {
    this.#trace0 = words[from] ?? 0;
    this.#trace1 = words[from + 1] ?? 0;
    this.#trace2 = words[from + 2] ?? 0;
    this.#trace3 = words[from + 3] ?? 0;
    this.#span0 = words[from + 4] ?? 0;
    this.#span1 = words[from + 5] ?? 0;
  }

  get byteLength(): number {
    return unkeptLine.length;
  }

  writeTo(bytes: DataView, at: number): void {
    bytes.setInt32(at, name0, true);
    bytes.setInt32(at + 4, name1, true);
    bytes.setInt32(at + 8, name2, true);
    bytes.setInt32(at + 12, name3, true);
    writeHex(bytes, at + traceIdAt, this.#trace0);
    writeHex(bytes, at + traceIdAt + 8, this.#trace1);
    writeHex(bytes, at + traceIdAt + 16, this.#trace2);
    writeHex(bytes, at + traceIdAt + 24, this.#trace3);
    bytes.setUint8(at + spanIdAt - 1, dash);
    writeHex(bytes, at + spanIdAt, this.#span0);
    writeHex(bytes, at + spanIdAt + 8, this.#span1);
    bytes.setInt32(at + spanIdEnd, flags, true);
    bytes.setUint8(at + spanIdEnd + 4, lineFeed);
  }

  get lines(): string {
    return this.#text(0, unkeptLine.length);
  }

  get traceId(): string {
    return this.#text(traceIdAt, spanIdAt - 1);
  }

  get spanId(): string {
    return this.#text(spanIdAt, spanIdEnd);
  }

  #text(start: number, end: number): string {
    return writtenText(unkeptLine.length, (bytes) => this.writeTo(bytes, 0)).slice(start, end);
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
