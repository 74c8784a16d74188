import { errorCode, Http2ConnectionError } from "./constants.ts";

/** The connection's receive window, which all streams share. */
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

  /** Records received bytes. Returns whether {@link takeCredit} may have window to give back. */
  received(bytes: number): boolean {
    this.#bytes -= bytes;
    this.#uncredited += bytes;
    if (this.#bytes < 0)
      throw new Http2ConnectionError(errorCode.flowControlError, "the peer sent more than the connection's window");
    return this.#uncredited >= this.#creditBytes;
  }

  /** Adds a difference to the number of bytes that streams hold back. Returns the new number. */
  queued(difference: number): number {
    this.#queuedBytes += difference;
    return this.#queuedBytes;
  }

  /**
   * Takes the part of the window that is given back to the peer now. Bytes that one stream holds back do not reduce the
   * window of the other streams, up to a limit.
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
