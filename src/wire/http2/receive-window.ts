import { errorCode, Http2ConnectionError } from "./constants.ts";

export class ReceiveWindow {
  readonly #creditBytes: number;
  readonly #maxQueuedBytes: number;
  #bytes: number;
  #uncredited = 0;
  #queuedBytes = 0;

  constructor(bytes: number, creditBytes: number, maxQueuedBytes: number) {
    this.#bytes = bytes;
    this.#creditBytes = creditBytes;
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  /** Counts received bytes. Returns whether {@link takeCredit} may now give some window back. */
  received(bytes: number): boolean {
    this.#bytes -= bytes;
    this.#uncredited += bytes;
    if (this.#bytes < 0)
      throw new Http2ConnectionError(errorCode.flowControlError, "the peer sent more than the connection's window");
    return this.#uncredited >= this.#creditBytes;
  }

  /** Changes the number of bytes that streams hold back. Returns the new number. */
  queued(difference: number): number {
    this.#queuedBytes += difference;
    return this.#queuedBytes;
  }

  /**
   * Takes the window that the peer should get back now. Up to a limit, bytes that streams hold back do not count, so
   * that one stream does not reduce the window of the others.
   */
  takeCredit(): number {
    if (this.#uncredited < this.#creditBytes) return 0;
    const credit = this.#uncredited - Math.max(0, this.#queuedBytes - this.#maxQueuedBytes);
    if (credit < this.#creditBytes) return 0;
    this.#bytes += credit;
    this.#uncredited -= credit;
    return credit;
  }
}
