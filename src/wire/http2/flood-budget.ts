import { errorCode, Http2ConnectionError } from "./constants.ts";

/**
 * Why a peer was cut off. `idle_frames`: frames without progress. `resets`: streams that it cancels at once.
 * `broken_streams`: streams that it makes us reset. `refused_streams`: streams above the announced limit.
 * `unread_answers`: responses that it does not read. The last reason is an excessive header block.
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
   * The maximum number of frames without progress per second: PING, SETTINGS, PRIORITY, GOAWAY, empty DATA, padding and
   * refused streams. Transported bytes allow further ones.
   */
  readonly maxIdleFramesPerSecond: number;
  /**
   * The number of streams that a client may waste. Each stream that was served completely makes up for one wasted
   * stream.
   */
  readonly wastedStreams: number;
  /** The number of wasted streams that are forgiven each second. */
  readonly wastedStreamsPerSecond: number;
  /** The number of streams that a client may open before other connections get their turn. */
  readonly streamsPerTurn: number;
  /**
   * How long a client that wastes streams must wait before each new stream, for each stream that it has wasted. During
   * such waits, it may open only one stream at a time.
   */
  readonly pausePerWastedStreamMs: number;
}

/**
 * The number of idle frames that each useful frame allows: a WINDOW_UPDATE for the stream, one for the connection, and
 * a PING that measures.
 */
const framesEarned = 3;
/** The number of names and values of a header block that take as long to read as a small frame. */
const textsPerFrame = 16;
const noFields: readonly string[] = [];
/** The part of the account (a 25th) above which a client must wait between its streams. */
const wastefulParts = 25;
/**
 * The cost of a stream that breaks the protocol, counted in cancelled streams. Correct clients have hardly any such
 * streams.
 */
const brokenStreamCost = 5;

/**
 * Charges a connection for the work that its peer causes. There are two accounts: one for frames without progress,
 * which time refills, and one for wasted streams, which served requests refill.
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
   * Set when more streams were wasted than the account allows. The connection must end as soon as no stream is being
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

  /**
   * Records a frame that transported `bytes`. It allows further idle frames, because peers renew a window every few
   * KiB.
   */
  earn(bytes: number): void {
    if (this.#idleFrames > -this.#maxIdleFrames) this.#idleFrames -= framesEarned + (bytes >> 10);
  }

  /**
   * Charges an idle frame. Throws if there were too many. A header block that makes no progress costs more the more
   * fields it has.
   */
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
   * How long the peer's next stream must wait because the peer wastes streams, in milliseconds. A turn of the event
   * loop would not suffice: the next turns would all be busy with such streams, while each honest request takes several
   * turns.
   */
  get waitMs(): number {
    // A connection that has exceeded its budget ends in the next turn, so it need not wait.
    if (this.#wasted === 0 || this.exceeded !== undefined) return 0;
    const { wastedStreams, pausePerWastedStreamMs } = this.#limits;
    this.#refill();
    if (this.#wasted * wastefulParts < wastedStreams) return 0;
    return Math.max(0, this.#openedAtMs + this.#wasted * pausePerWastedStreamMs - this.nowMs);
  }

  /**
   * Begins a wait. Returns its length in milliseconds. Waiting does not refill the account, because the peer causes the
   * wait.
   */
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
   * Charges a stream above a limit that the peer knows. A correct client may open a few such streams while our resets
   * are on their way.
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
