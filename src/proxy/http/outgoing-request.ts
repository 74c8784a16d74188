import { ChunkedScanner } from "../../wire/http1/index.ts";
import { trailersOfText } from "../http2/http2-heads.ts";
import type { UpstreamChannel } from "../upstream/upstream-channel.ts";
import type { ByteBuilder } from "./messages/byte-builder.ts";
import { composeRequest, type HeadStamps, type RequestComposition } from "./messages/compose-request.ts";
import { replayBudgets, type ExchangeMemory, type ReplayBudgets } from "./exchange-memory.ts";
import { formatGrpcTimeout } from "./grpc.ts";
import type { Shadow } from "./mirrors/shadow.ts";
import { permittedTrailers } from "../terms/trailers.ts";

/**
 * The size up to which a body is kept for another attempt without counting it. Most bodies are not larger, and counting
 * costs time.
 */
const uncountedBytes = 4 * 1024;
/** The size up to which every request is kept for another attempt, as long as the budget for all requests has room. */
const everyReplayBytes = 64 * 1024;
/**
 * The size (Envoy's default) up to which a request with a retry policy is kept, as long as the budget for such requests
 * has room. A larger one gets a single attempt.
 */
const maxReplayBytes = 1024 * 1024;
const noBytes = Buffer.alloc(0);
const noShadows: readonly Shadow[] = [];

/**
 * How a body is relayed. `as-is` relays it unchanged, with its chunked framing if it has one. `take-out-of-chunks`
 * removes that framing. `plain` is for a body that arrived without framing and whose length no header announces.
 */
export type RequestBodyForm = "as-is" | "take-out-of-chunks" | "plain";

/**
 * A request on its way to upstreams: its head, the part of its body that is kept for another attempt, and copies for
 * mirrors.
 */
export class OutgoingRequest implements HeadStamps {
  readonly #memory: ExchangeMemory;
  readonly #bytes: ByteBuilder;
  #headLength = 0;
  attemptAt = -1;
  timeoutAt = -1;
  grpcTimeoutAt = -1;
  #form: RequestBodyForm = "as-is";
  #chunked: ChunkedScanner | undefined;
  #trailers: readonly string[] | undefined;
  #shadows = noShadows;
  complete: boolean;
  asksUpgrade = false;
  /** Whether all bytes so far are kept, so that another attempt can send them. */
  replayable = true;
  readonly #budgets: ReplayBudgets;
  /**
   * How many bytes this request has taken from the budget for requests with a retry policy, and from the budget for all
   * requests.
   */
  #taken = 0;
  #takenOfAll = 0;
  #hasPolicy = false;

  constructor(memory: ExchangeMemory, complete: boolean, budgets = replayBudgets) {
    this.#memory = memory;
    this.#budgets = budgets;
    this.#bytes = memory.request;
    this.complete = complete;
  }

  /** Whether the body has no framing and no announced length, so that HTTP/1.1 must send it in chunks. */
  get chunksRequest(): boolean {
    return this.#form !== "as-is";
  }

  /** Writes the head. Must be called first. `mayRetry` says whether a policy wants further attempts after failures. */
  compose(composition: RequestComposition, form: RequestBodyForm, mayRetry: boolean): void {
    this.#hasPolicy = mayRetry;
    this.#memory.emptyRequest();
    composeRequest(this.#bytes, composition, this);
    this.asksUpgrade = composition.upgrade !== undefined;
    this.#headLength = this.#bytes.length;
    this.#form = form;
    if (form !== "take-out-of-chunks") return;
    this.#chunked = new ChunkedScanner();
    this.#chunked.keepsTrailers = true;
  }

  /** Adds a copy for a mirror, which gets the body too. */
  addShadow(shadow: Shadow): void {
    this.#shadows = [...this.#shadows, shadow];
  }

  /** Writes into the head the number of another attempt, and the time that is left for it, in milliseconds. */
  stampAttempt(attempt: number, leftMs: number): void {
    if (this.attemptAt >= 0) this.#stamp(this.attemptAt, String(attempt));
    if (leftMs <= 0) return;
    if (this.timeoutAt >= 0) this.#stamp(this.timeoutAt, String(leftMs));
    if (this.grpcTimeoutAt >= 0) this.#stamp(this.grpcTimeoutAt, formatGrpcTimeout(leftMs));
  }

  /** Replaces the value of a header that differs between attempts. If the lengths differ, later values move. */
  #stamp(at: number, text: string): void {
    const end = this.#bytes.buffer.indexOf("\r\n", at);
    const moved = text.length - (end - at);
    this.#bytes.replace(at, end, text);
    this.#headLength += moved;
    if (this.attemptAt > at) this.attemptAt += moved;
    if (this.timeoutAt > at) this.timeoutAt += moved;
    if (this.grpcTimeoutAt > at) this.grpcTimeoutAt += moved;
  }

  /** Sends everything that is buffered. Returns the same as {@link UpstreamChannel.send}. */
  sendTo(channel: UpstreamChannel): boolean {
    this.#memory.writtenTo(channel);
    const trailers = this.#trailers;
    const more = channel.send(this.#bytes.view(), this.#headLength, this.complete && trailers === undefined);
    if (trailers !== undefined) channel.sendTrailers(trailers);
    return more;
  }

  /** Adds a part of the body, and sends it if there is a channel. Returns the same as {@link UpstreamChannel.write}. */
  body(bytes: Buffer, from: number, to: number, complete: boolean, channel: UpstreamChannel | undefined): boolean {
    if (this.#form !== "take-out-of-chunks") return this.#pass(bytes, from, to, complete, channel);
    let more = true;
    this.#chunked?.scanJoined(bytes, from, to, (part, start, end) => {
      more = this.#pass(part, start, end, false, channel);
    });
    if (!complete) return more;
    const trailers = permittedTrailers(trailersOfText(this.#chunked?.trailers ?? ""));
    if (trailers.length === 0) return this.#pass(noBytes, 0, 0, true, channel);
    this.trailers(trailers, channel);
    return true;
  }

  trailers(fields: readonly string[], channel: UpstreamChannel | undefined): void {
    this.complete = true;
    this.#trailers = fields;
    for (const shadow of this.#shadows) shadow.trailers(fields);
    channel?.sendTrailers(fields);
  }

  /** Releases the buffer, because no further attempt follows. */
  answerStarted(): void {
    this.replayable = false;
    this.#release();
  }

  #release(): void {
    this.#memory.releaseRequest();
    if (this.#takenOfAll === 0) return;
    this.#budgets.ofAll.give(this.#takenOfAll);
    this.#budgets.ofPolicies.give(this.#taken);
    this.#takenOfAll = 0;
    this.#taken = 0;
  }

  #mayKeep(bytes: number): boolean {
    const bodyBytes = this.#bytes.length - this.#headLength + bytes;
    if (bodyBytes <= uncountedBytes) return true;
    if (bodyBytes > everyReplayBytes && (!this.#hasPolicy || bodyBytes > maxReplayBytes)) return false;
    const ofAll = Math.min(bodyBytes, everyReplayBytes) - uncountedBytes - this.#takenOfAll;
    if (ofAll > 0) {
      if (!this.#budgets.ofAll.take(ofAll)) return false;
      this.#takenOfAll += ofAll;
    }
    const more = bodyBytes - everyReplayBytes - this.#taken;
    if (more <= 0) return true;
    if (!this.#budgets.ofPolicies.take(more)) return false;
    this.#taken += more;
    return true;
  }

  /** Called when the exchange ends. Mirrors that have not received the whole request give up. */
  end(): void {
    this.#release();
    if (!this.complete) for (const shadow of this.#shadows) shadow.abandon();
  }

  #pass(bytes: Buffer, from: number, to: number, complete: boolean, channel: UpstreamChannel | undefined): boolean {
    const size = to - from;
    this.complete = complete;
    for (const shadow of this.#shadows) shadow.body(bytes, from, to, complete);
    // Bytes that arrive without a channel are kept whatever the limit says, because nothing else has them. The caller
    // pauses reading.
    if (this.replayable && !this.#mayKeep(size) && channel !== undefined) {
      this.replayable = false;
      this.#release();
    }
    if (channel !== undefined && !this.replayable) {
      // Pass a whole chunk on as it is, which is the usual case. A view of it would be one more object for each message
      // of a stream.
      const isWhole = from === 0 && to === bytes.length;
      return channel.write(isWhole ? bytes : bytes.subarray(from, to), complete);
    }
    const start = this.#bytes.length;
    this.#bytes.range(bytes, from, to);
    return channel === undefined || channel.write(this.#bytes.view(start), complete);
  }
}
