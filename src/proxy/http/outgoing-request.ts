import type { UpstreamChannel } from "../upstream/upstream-channel.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { composeRequest, type RequestComposition } from "./compose-request.ts";
import type { Shadow } from "./shadow.ts";

/** A request is kept for another attempt up to this size; beyond it, there is one attempt. */
export const maxReplayBytes = 64 * 1024;
const requestBufferBytes = 2048;

/** A request as it goes to upstreams: its head, what is kept of its body for another attempt, and copies for mirrors. */
export class OutgoingRequest {
  readonly #bytes = new ByteBuilder(requestBufferBytes);
  #headLength = 0;
  #attemptDigitAt = -1;
  /** Where the bytes were written to last: it may hold a view of them after the answer has come. */
  #writtenTo: UpstreamChannel | undefined;
  #shadows: Shadow[] = [];
  /** The client has sent all of it. */
  complete = true;
  /** All of it so far is kept. */
  replayable = true;

  reset(complete: boolean): void {
    this.complete = complete;
    this.replayable = true;
    if (this.#shadows.length > 0) this.#shadows = [];
  }

  /** Writes the head; before anything else of a request. */
  compose(composition: RequestComposition): void {
    if (this.#writtenTo?.holdsBytes === true) this.#bytes.detach();
    else this.#bytes.clear(requestBufferBytes);
    this.#writtenTo = undefined;
    this.#attemptDigitAt = composeRequest(this.#bytes, composition);
    this.#headLength = this.#bytes.length;
  }

  /** What of the body came with the head. */
  begin(bytes: Buffer, from: number, to: number): void {
    this.#bytes.range(bytes, from, to);
  }

  /** A copy for a mirror; it is given what of the body follows. */
  addShadow(shadow: Shadow): void {
    this.#shadows.push(shadow);
  }

  stampAttempt(attempt: number): void {
    if (this.#attemptDigitAt >= 0 && attempt <= 9) this.#bytes.buffer[this.#attemptDigitAt] = 48 + attempt;
  }

  /** Sends all that is kept. Answers as {@link UpstreamChannel.send}. */
  sendTo(channel: UpstreamChannel): boolean {
    this.#writtenTo = channel;
    return channel.send(this.#bytes.view(), this.#headLength, this.complete);
  }

  /** More of the body, for the channel if there is one by now. Answers as {@link UpstreamChannel.write}. */
  body(bytes: Buffer, from: number, to: number, complete: boolean, channel: UpstreamChannel | undefined): boolean {
    const size = to - from;
    this.complete = complete;
    for (const shadow of this.#shadows) shadow.body(bytes, from, to, complete);
    if (this.replayable && this.#bytes.length + size > maxReplayBytes && channel !== undefined) this.replayable = false;
    if (channel !== undefined && !this.replayable) return channel.write(bytes.subarray(from, to), complete);
    const start = this.#bytes.length;
    this.#bytes.range(bytes, from, to);
    return channel === undefined || channel.write(this.#bytes.view(start), complete);
  }

  /** The exchange is over; mirrors that have not got all of the request never will. */
  end(): void {
    if (!this.complete) for (const shadow of this.#shadows) shadow.abandon();
  }
}
