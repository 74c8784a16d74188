import type { ConnectionInfo } from "../connection-info.ts";
import type { ExchangeRecord } from "../http/exchange-record.ts";
import type { CaptureIndex } from "./capture-index.ts";
import type { LogPart, ValueSpan } from "./log-operators.ts";

/** Text and values in a row that are the same for all requests of a kind. */
interface Run {
  /** Before each value, and after the last. */
  readonly texts: string[];
  readonly parts: LogPart[];
}

/**
 * Puts a format's lines together. Most of a line is what it was for the request before on the same connection: while requests are of one
 * kind (method, host, client, route, answer), what tells of the kind is one text that is kept.
 */
export class LineComposer {
  /** Values of each request; a run stands before each of them, and after the last. */
  readonly #parts: LogPart[] = [];
  readonly #runs: Run[] = [{ texts: [""], parts: [] }];
  readonly #kinds = new WeakMap<ConnectionInfo, RequestKind>();

  text(text: string): void {
    const { texts } = this.#lastRun;
    texts[texts.length - 1] += text;
  }

  value(part: LogPart, span: ValueSpan): void {
    if (span === "request") {
      this.#parts.push(part);
      this.#runs.push({ texts: [""], parts: [] });
      return;
    }
    this.#lastRun.parts.push(part);
    this.#lastRun.texts.push("");
  }

  line(record: ExchangeRecord, capture: CaptureIndex): string {
    return interleaved(this.#textsOf(record, capture), this.#parts, record, capture);
  }

  get #lastRun(): Run {
    return this.#runs.at(-1) ?? { texts: [""], parts: [] };
  }

  #textsOf(record: ExchangeRecord, capture: CaptureIndex): readonly string[] {
    const known = this.#kinds.get(record.connection);
    if (known?.has(record) === true) return known.texts();
    const kind = new RequestKind(record, this.#runs.map(({ texts, parts }) => interleaved(texts, parts, record, capture)));
    this.#kinds.set(record.connection, kind);
    return kind.madeTexts;
  }
}

/** One text more than there are parts. */
function interleaved(texts: readonly string[], parts: readonly LogPart[], record: ExchangeRecord, capture: CaptureIndex): string {
  let out = texts[0] ?? "";
  for (let index = 0; index < parts.length; index += 1) out += (parts[index]?.(record, capture) ?? "") + (texts[index + 1] ?? "");
  return out;
}

/** All that values of the span `kind` are made of, besides the connection. */
class RequestKind {
  readonly #method: string;
  readonly #protocol: string;
  readonly #authority: string;
  readonly #forwardedFor: string;
  readonly #userAgent: string;
  readonly #routeName: string;
  readonly #status: number;
  readonly #flag: number;
  readonly #details: string;
  readonly #transportFailure: string;
  readonly #grpcStatus: string;
  readonly madeTexts: readonly string[];
  #texts: readonly string[] | undefined;

  constructor(record: ExchangeRecord, madeTexts: readonly string[]) {
    this.#method = record.method;
    this.#protocol = record.protocol;
    this.#authority = record.authority;
    this.#forwardedFor = record.forwardedFor;
    this.#userAgent = record.userAgent;
    this.#routeName = record.routeName;
    this.#status = record.status;
    this.#flag = record.flag;
    this.#details = record.details;
    this.#transportFailure = record.transportFailure;
    this.#grpcStatus = record.grpcStatus;
    this.madeTexts = madeTexts;
  }

  has(record: ExchangeRecord): boolean {
    return (
      this.#status === record.status &&
      this.#flag === record.flag &&
      this.#routeName === record.routeName &&
      this.#details === record.details &&
      this.#protocol === record.protocol &&
      this.#method === record.method &&
      this.#authority === record.authority &&
      this.#userAgent === record.userAgent &&
      this.#forwardedFor === record.forwardedFor &&
      this.#transportFailure === record.transportFailure &&
      this.#grpcStatus === record.grpcStatus
    );
  }

  /** For the second request of the kind on: each in one piece of memory, where a text that was put together is a tree of its parts. */
  texts(): readonly string[] {
    this.#texts ??= this.madeTexts.map((text) => Buffer.from(text).toString());
    return this.#texts;
  }
}
