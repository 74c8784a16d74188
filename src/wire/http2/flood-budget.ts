import { errorCode, Http2ConnectionError } from "./constants.ts";

/**
 * Why a peer was cut off. `idle_frames`: frames without progress. `resets`: streams that it cancelled at once.
 * `broken_streams`: streams that we had to reset because of what it sent. `refused_streams`: streams above the
 * announced limit. `unread_answers`: responses that it did not read. `header_block`: a header block that was too large.
 */
export type FloodReason =
  | "idle_frames"
  | "resets"
  | "broken_streams"
  | "refused_streams"
  | "unread_answers"
  | "header_block";

/** Ends a connection with the code ENHANCE_YOUR_CALM. */
export class Http2FloodError extends Http2ConnectionError {
  readonly reason: FloodReason;

  constructor(reason: FloodReason, message: string) {
    super(errorCode.enhanceYourCalm, message);
    this.reason = reason;
  }
}

export interface FloodLimits {
  /**
   * The maximum number of frames without progress per second: PING, SETTINGS, PRIORITY, GOAWAY, empty DATA, padding and
   * refused streams. Frames with data allow more of them.
   */
  readonly maxIdleFramesPerSecond: number;
  /** How many streams a client may waste. Each stream that is served completely makes up for a wasted one. */
  readonly wastedStreams: number;
  /** How many wasted streams are forgiven per second. */
  readonly wastedStreamsPerSecond: number;
  /** How many streams a client may open before other connections have their turn. */
  readonly streamsPerTurn: number;
  /**
   * A client that wastes streams must wait before each new stream: this time for each stream that it has wasted. While
   * it must wait, it may open only one stream at a time.
   */
  readonly pausePerWastedStreamMs: number;
}

/**
 * How many idle frames each frame with data allows: a WINDOW_UPDATE for the stream, one for the connection, and a PING
 * that measures.
 */
const framesEarned = 3;
/** So many names and values of a header block take as long to read as a small frame. */
const textsPerFrame = 16;
const noFields: readonly string[] = [];
/** A client that has wasted less than this part (a 25th) of its allowance need not wait between its streams. */
const wastefulParts = 25;
/** How many cancelled streams a stream that breaks the protocol counts as. Correct clients have hardly any. */
const brokenStreamCost = 5;

/**
 * Charges a connection for the work that its peer causes. It has an account for frames without progress, which time
 * refills, and one for wasted streams, which served streams and time refill.
 */
export class FloodBudget {
  readonly #limits: FloodLimits;
  /** The noun for streams in messages, such as `requests`. */
  readonly #streamsName: string;
  readonly #maxIdleFrames: number;
  #idleFrames = 0;
  #idleSinceMs: number;
  #wasted = 0;
  #wastedAtMs: number;
  #openedAtMs = -Infinity;
  nowMs: number;
  /**
   * Set when the peer has wasted more streams than it may. The connection must then end as soon as no stream is being
   * processed.
   */
  exceeded: Http2FloodError | undefined;

  constructor(limits: FloodLimits, streamsName: string, nowMs: number) {
    this.#limits = limits;
    this.#maxIdleFrames = limits.maxIdleFramesPerSecond;
    this.#streamsName = streamsName;
    this.nowMs = nowMs;
    this.#idleSinceMs = nowMs;
    this.#wastedAtMs = nowMs;
  }

  /** Counts a frame with `bytes` of data. It allows further idle frames, because peers renew a window every few KiB. */
  earn(bytes: number): void {
    if (this.#idleFrames > -this.#maxIdleFrames) this.#idleFrames -= framesEarned + (bytes >> 10);
  }

  /**
   * Charges an idle frame, and throws an error if there were too many. A header block without progress costs more if it
   * has many fields.
   */
  idleFrame(fields: readonly string[] = noFields): void {
    this.#idleFrames += 1 + Math.floor(fields.length / textsPerFrame);
    if (this.#idleFrames <= this.#maxIdleFrames) return;
    if (this.nowMs - this.#idleSinceMs < 1000)
      throw new Http2FloodError("idle_frames", "too many frames that make no progress");
    this.#idleSinceMs = this.nowMs;
    this.#idleFrames = 0;
  }

  opened(): void {
    this.#openedAtMs = this.nowMs;
  }

  /**
   * How many milliseconds the peer's next stream must wait, because the peer wastes streams. Waiting for another turn
   * of the event loop would not suffice: the next turns would all be busy with such streams, while each honest request
   * needs several turns.
   */
  get waitMs(): number {
    // A connection that has exceeded its budget ends in the next turn, so its streams need not wait.
    if (this.#wasted === 0 || this.exceeded !== undefined) return 0;
    const { wastedStreams, pausePerWastedStreamMs } = this.#limits;
    this.#refill();
    if (this.#wasted * wastefulParts < wastedStreams) return 0;
    return Math.max(0, this.#openedAtMs + this.#wasted * pausePerWastedStreamMs - this.nowMs);
  }

  /**
   * Begins a wait, and returns its length in milliseconds. The account is not refilled in this time, because the peer
   * causes the wait.
   */
  wait(): number {
    const { waitMs } = this;
    if (waitMs > 0) this.#wastedAtMs = this.nowMs + waitMs;
    return waitMs;
  }

  /** Counts a stream that was served completely. */
  served(): void {
    if (this.#wasted > 0) this.#wasted -= 1;
  }

  /** Charges a stream that the peer cancelled before its response. */
  takenBack(): void {
    this.#waste(1, "resets", "cancelled");
  }

  /** Charges a stream that we had to reset because of what the peer sent, or that began with an invalid head. */
  broken(): void {
    this.#waste(brokenStreamCost, "broken_streams", "reset because of what the peer sent");
  }

  /**
   * Charges a stream above a limit that the peer knows. A correct client may open a few while our resets are on their
   * way.
   */
  refused(): void {
    this.#waste(1, "refused_streams", "above the limit");
  }

  #waste(cost: number, reason: FloodReason, streams: string): void {
    this.#refill();
    this.#wasted += cost;
    if (this.#wasted >= this.#limits.wastedStreams)
      this.exceeded ??= new Http2FloodError(reason, `too many ${this.#streamsName} that were ${streams}`);
  }

  #refill(): void {
    if (this.nowMs <= this.#wastedAtMs) return;
    if (this.#wasted > 0) {
      const refilled = ((this.nowMs - this.#wastedAtMs) / 1000) * this.#limits.wastedStreamsPerSecond;
      this.#wasted = Math.max(0, this.#wasted - refilled);
    }
    this.#wastedAtMs = this.nowMs;
  }
}
