import { errorCode, Http2ConnectionError } from "./constants.ts";

/**
 * Why a peer was cut off: frames without progress (`idle_frames`), streams that it cancels at once (`resets`), streams
 * that it makes us reset (`broken_streams`), streams above the limit that we announced (`refused_streams`), responses
 * that it does not read (`unread_answers`), or an excessive header block.
 */
export type FloodReason =
  | "idle_frames"
  | "resets"
  | "broken_streams"
  | "refused_streams"
  | "unread_answers"
  | "header_block";

/** Ends a connection with ENHANCE_YOUR_CALM. */
export class Http2FloodError extends Http2ConnectionError {
  readonly reason: FloodReason;

  constructor(reason: FloodReason, message: string) {
    super(errorCode.enhanceYourCalm, message);
    this.reason = reason;
  }
}

export interface FloodLimits {
  /**
   * The number of frames without progress per second: PING, SETTINGS, PRIORITY, GOAWAY, empty DATA, padding, refused
   * streams. Transported bytes restore some.
   */
  readonly maxIdleFramesPerSecond: number;
  /** The number of streams that a client may waste, beyond those that it lets us serve. */
  readonly wastedStreams: number;
  /** How many of these streams each second restores. */
  readonly wastedStreamsPerSecond: number;
  /** The number of streams that a client may open before other connections get their turn. */
  readonly streamsPerTurn: number;
  /**
   * A client that wastes streams opens one at a time. Before the next one, it waits this long for each stream that it
   * has wasted.
   */
  readonly pausePerWastedStreamMs: number;
}

/**
 * The number of idle frames that each useful frame allows: WINDOW_UPDATE for stream and connection, and a PING to
 * measure.
 */
const framesEarned = 3;
/** Reading this many names and values of a header block takes as long as reading a small frame. */
const textsPerFrame = 16;
const noFields: readonly string[] = [];
/** A client must wait between streams once it has used up this fraction (25 means a 25th) of its account. */
const wastefulParts = 25;
/** A stream that breaks the protocol costs as much as this many cancelled ones. Correct clients have hardly any. */
const brokenStreamCost = 5;

/**
 * Charges a connection for the work that its peer causes. It has two accounts: frames without progress, and wasted
 * streams. They are separate because time refills one, and served requests refill the other.
 */
export class FloodBudget {
  readonly #limits: FloodLimits;
  /** The noun for streams in messages. */
  readonly #streamsName: string;
  readonly #maxIdleFrames: number;
  #idleFrames = 0;
  #idleSinceMs: number;
  #wasted = 0;
  #wastedAtMs: number;
  #openedAtMs = -Infinity;
  nowMs: number;
  /**
   * More streams were wasted than the account allows. The connection must end as soon as no stream is being processed.
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

  /** Records a frame that transported `bytes`. Peers renew a window every few KiB. */
  earn(bytes: number): void {
    if (this.#idleFrames > -this.#maxIdleFrames) this.#idleFrames -= framesEarned + (bytes >> 10);
  }

  /** Throws if there were too many idle frames. A header block that makes no progress costs more by its fields. */
  idleFrame(fields: readonly string[] = noFields): void {
    this.#idleFrames += 1 + Math.floor(fields.length / textsPerFrame);
    if (this.#idleFrames <= this.#maxIdleFrames) return;
    if (this.nowMs - this.#idleSinceMs < 1000)
      throw new Http2FloodError("idle_frames", "too many frames that make no progress");
    this.#idleSinceMs = this.nowMs;
    this.#idleFrames = 0;
  }

  /** Records a stream that the peer opened. */
  opened(): void {
    this.#openedAtMs = this.nowMs;
  }

  /**
   * The time for which the peer's next stream must wait, because the peer wastes streams. A turn of the event loop is
   * not enough: the next turns would all be busy with such streams, and each honest request takes several turns.
   */
  get waitMs(): number {
    // A connection that must end does so in the next turn, so it need not wait.
    if (this.#wasted === 0 || this.exceeded !== undefined) return 0;
    const { wastedStreams, pausePerWastedStreamMs } = this.#limits;
    this.#refill();
    if (this.#wasted * wastefulParts < wastedStreams) return 0;
    return Math.max(0, this.#openedAtMs + this.#wasted * pausePerWastedStreamMs - this.nowMs);
  }

  /** Begins a wait, and returns its length. The wait restores nothing, because the peer causes it. */
  wait(): number {
    const { waitMs } = this;
    if (waitMs > 0) this.#wastedAtMs = this.nowMs + waitMs;
    return waitMs;
  }

  /** Records a stream that was served completely. */
  served(): void {
    if (this.#wasted > 0) this.#wasted -= 1;
  }

  /** Records a stream that the peer cancelled before its response. */
  takenBack(): void {
    this.#waste(1, "resets", "cancelled");
  }

  /** Records a stream that the peer made us reset, or that began with an invalid request head. */
  broken(): void {
    this.#waste(brokenStreamCost, "broken_streams", "reset because of what the peer sent");
  }

  /**
   * Records a stream above a limit that the peer knows. A correct client may open some while our resets are on their
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
