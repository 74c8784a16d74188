import { errorCode, Http2ConnectionError } from "./constants.ts";

/**
 * Why a peer costs more than it asks for: frames that move nothing on (`idle_frames`), streams that it takes back at once (`resets`),
 * streams that it makes us reset (`broken_streams`), answers that it does not read, or a header block beyond all bounds.
 */
export type FloodReason = "idle_frames" | "resets" | "broken_streams" | "unread_answers" | "header_block";

/** Ends a connection by ENHANCE_YOUR_CALM. */
export class Http2FloodError extends Http2ConnectionError {
  readonly reason: FloodReason;

  constructor(reason: FloodReason, message: string) {
    super(errorCode.enhanceYourCalm, message);
    this.reason = reason;
  }
}

export interface FloodLimits {
  /** Frames a second that move nothing on: PING, SETTINGS, PRIORITY, GOAWAY, empty DATA, padding, refused streams; bytes earn some back. */
  readonly maxIdleFramesPerSecond: number;
  /** Streams that a client may waste beyond those that it lets us serve. */
  readonly wastedStreams: number;
  /** How many of these each second restores. */
  readonly wastedStreamsPerSecond: number;
}

/** Idle frames that each frame which moves something on allows: WINDOW_UPDATE for stream and connection, a PING to measure. */
const framesEarned = 3;
/** A stream that breaks the rules costs as much as this many cancelled ones. Correct clients have hardly any. */
const brokenStreamCost = 5;

/**
 * What a peer makes us do, charged to its connection. There are two accounts, because time refills one and service the
 * other: frames that transport nothing, and streams that came to nothing.
 */
export class FloodBudget {
  readonly #limits: FloodLimits;
  /** The word for streams in messages. */
  readonly #streamsName: string;
  readonly #maxIdleFrames: number;
  #idleFrames = 0;
  #idleSinceMs: number;
  #wasted = 0;
  #wastedAtMs: number;
  nowMs: number;
  /**
   * The account of streams is overdrawn: the connection must end as soon as no stream is in the middle of something.
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

  /** A frame transported `bytes`. A window is renewed every few KiB. */
  earn(bytes: number): void {
    if (this.#idleFrames > -this.#maxIdleFrames) this.#idleFrames -= framesEarned + (bytes >> 10);
  }

  /** Throws when there are too many. */
  idleFrame(): void {
    this.#idleFrames += 1;
    if (this.#idleFrames <= this.#maxIdleFrames) return;
    if (this.nowMs - this.#idleSinceMs < 1000)
      throw new Http2FloodError("idle_frames", "too many frames that move nothing on");
    this.#idleSinceMs = this.nowMs;
    this.#idleFrames = 0;
  }

  /** A stream was answered to its end. */
  served(): void {
    if (this.#wasted > 0) this.#wasted -= 1;
  }

  /** The peer took a stream back before it was answered. */
  takenBack(): void {
    this.#waste(1, "resets", "taken back");
  }

  /** The peer made us reset a stream, or opened one by a head that makes no request. */
  broken(): void {
    this.#waste(brokenStreamCost, "broken_streams", "broken off for what the peer sent");
  }

  #waste(cost: number, reason: FloodReason, what: string): void {
    const { wastedStreams, wastedStreamsPerSecond } = this.#limits;
    if (this.#wasted > 0) {
      const refilled = ((this.nowMs - this.#wastedAtMs) / 1000) * wastedStreamsPerSecond;
      this.#wasted = Math.max(0, this.#wasted - refilled);
    }
    this.#wastedAtMs = this.nowMs;
    this.#wasted += cost;
    if (this.#wasted >= wastedStreams)
      this.exceeded ??= new Http2FloodError(reason, `too many ${this.#streamsName} that were ${what}`);
  }
}
