import type { MessageHead } from "../../wire/http1/index.ts";
import type { PathOptions } from "../routing/path.ts";
import type { UpstreamChannel } from "../upstream/upstream-channel.ts";
import { ByteBuilder } from "./messages/byte-builder.ts";
import { readTarget, type ReadTarget } from "./request-target.ts";

const requestBufferBytes = 2048;

const noBytes = Buffer.alloc(0);

/** The maximum length of a kept value. A longer one is not kept, because idle connections would hold its memory. */
const maxKeptLetters = 256;

/**
 * Keeps a target or a header value that requests of a connection often repeat. The same bytes then give the same string
 * object. This costs less than a new string, and later comparisons see at once that the two are equal.
 */
export class RepeatedText {
  #text = "";
  #mixedCase = "";
  #lowerCase = "";

  read(bytes: Buffer, from: number, to: number): string {
    const kept = this.#text;
    if (to - from === kept.length) {
      let at = 0;
      while (at < kept.length && bytes[from + at] === kept.charCodeAt(at)) at += 1;
      if (at === kept.length) return kept;
    }
    const text = bytes.toString("latin1", from, to);
    if (text.length <= maxKeptLetters) this.#text = text;
    return text;
  }

  lower(text: string): string {
    if (text.length > maxKeptLetters) return text.toLowerCase();
    if (text !== this.#mixedCase) {
      this.#mixedCase = text;
      this.#lowerCase = text.toLowerCase();
    }
    return this.#lowerCase;
  }
}

/** Keeps a request target that requests of a connection often repeat, so that it is parsed once. */
export class RepeatedTarget {
  readonly #texts = new RepeatedText();
  #text = "";
  #method = "";
  #options: PathOptions | undefined;
  #read: ReadTarget | undefined;

  text(bytes: Buffer, from: number, to: number): string {
    return this.#texts.read(bytes, from, to);
  }

  read(method: string, text: string, options: PathOptions): ReadTarget | undefined {
    if (text === this.#text && method === this.#method && options === this.#options) return this.#read;
    const read = readTarget(method, text, options);
    if (text.length > maxKeptLetters) return read;
    this.#text = text;
    this.#method = method;
    this.#options = options;
    this.#read = read;
    return read;
  }
}

/** Limits the request bytes that a thread keeps for further attempts. Small requests are kept without being counted. */
export class ReplayBudget {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Takes bytes from the budget. The caller must give them back. Returns false if the budget has fewer left. */
  take(bytes: number): boolean {
    if (this.#bytes + bytes > this.#maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** A budget for requests whose route has a retry policy, and one for all requests. */
export interface ReplayBudgets {
  readonly ofPolicies: ReplayBudget;
  readonly ofAll: ReplayBudget;
}

export const replayBudgets: ReplayBudgets = {
  ofPolicies: new ReplayBudget(32 * 1024 * 1024),
  ofAll: new ReplayBudget(64 * 1024 * 1024),
};

/**
 * Memory that the exchanges of a connection use one after another, because allocating it costs more than the rest of an
 * exchange.
 *
 * It holds no state of an exchange: all other objects are made anew for each request. A {@link RepeatedText} gives a
 * request nothing but the text of its own bytes, and a {@link RepeatedTarget} nothing but the parts of its own target.
 */
export class ExchangeMemory {
  readonly #request = new ByteBuilder(requestBufferBytes);
  readonly host = new RepeatedText();
  readonly userAgent = new RepeatedText();
  readonly target = new RepeatedTarget();
  #writtenTo: UpstreamChannel | undefined;
  #head: MessageHead | undefined;

  get request(): ByteBuilder {
    return this.#request;
  }

  /**
   * Empties the request's memory. If the upstream of the previous request still reads from it, leaves it to that
   * upstream and takes new memory.
   */
  emptyRequest(): void {
    if (this.#writtenTo?.holdsBytes === true) this.#request.detach(requestBufferBytes);
    else this.#request.clear(requestBufferBytes);
    this.#writtenTo = undefined;
  }

  /**
   * Called when nobody sends the request's bytes again. Releases a large buffer, because an idle connection would hold
   * it. An upstream that still reads the bytes keeps them.
   */
  releaseRequest(): void {
    if (this.#request.buffer.length > requestBufferBytes) this.#request.detach(requestBufferBytes);
  }

  /** Records which upstream reads the request's bytes. It may still read them after its response. */
  writtenTo(channel: UpstreamChannel): void {
    this.#writtenTo = channel;
  }

  /** A head that no other exchange uses. Undefined if none is stored. */
  takeHead(): MessageHead | undefined {
    const head = this.#head;
    this.#head = undefined;
    return head;
  }

  giveHead(head: MessageHead): void {
    // Drop the head's reference to its bytes, which may have the maximum size: an idle connection would hold them.
    head.reset(noBytes, 0);
    this.#head = head;
  }
}
