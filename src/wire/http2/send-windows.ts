import { defaultMaxFrameSize, defaultWindow, errorCode, Http2ConnectionError, maxWindow } from "./constants.ts";
import type { SessionStream } from "./session-stream.ts";

/** The send windows of a connection and of its streams, and the streams that wait for them. */
export class SendWindows<Stream extends SessionStream> {
  readonly #maxFrameBytes: number;
  readonly #wake: (stream: Stream) => void;
  /** The streams that wait only for the connection's window, in the order in which they began to wait. */
  readonly #blocked = new Set<Stream>();
  /**
   * The streams whose own window is used up. They are separate, because the peer could otherwise make us examine each
   * of them whenever it opens the connection's window by a byte.
   */
  readonly #starved = new Set<Stream>();
  /** The streams that wait until the output has room. */
  #waiting = new Set<Stream>();
  #connection = defaultWindow;
  /** The initial send window of streams. */
  stream = defaultWindow;
  /** The largest frame that both sides accept. */
  frameBytes = defaultMaxFrameSize;

  /** `wake` calls a stream that may write again. */
  constructor(maxFrameBytes: number, wake: (stream: Stream) => void) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#wake = wake;
  }

  /** The size of a DATA frame that may be sent now. If it is 0 or less, the stream must wait for a WINDOW_UPDATE. */
  room(stream: Stream): number {
    return Math.min(stream.sendWindow, this.#connection, this.frameBytes);
  }

  /** How much DATA may be sent now, in any number of frames. 0 or less means none. */
  roomForAll(stream: Stream): number {
    return Math.min(stream.sendWindow, this.#connection);
  }

  spend(stream: Stream, bytes: number): void {
    stream.sendWindow -= bytes;
    this.#connection -= bytes;
  }

  waitForWindow(stream: Stream): void {
    (stream.sendWindow > 0 ? this.#blocked : this.#starved).add(stream);
  }

  waitForOutput(stream: Stream): void {
    this.#waiting.add(stream);
  }

  forget(stream: Stream): void {
    this.#blocked.delete(stream);
    this.#starved.delete(stream);
    this.#waiting.delete(stream);
  }

  /** Applies a WINDOW_UPDATE of the connection. Returns whether a stream waited for it. */
  openConnection(increment: number): boolean {
    this.#connection += increment;
    if (this.#connection > maxWindow) throw tooLarge("the connection's window is above 2^31-1");
    if (this.#blocked.size === 0) return false;
    this.#unblock();
    return true;
  }

  /**
   * Applies a WINDOW_UPDATE of a stream. Returns whether the stream waited for it and has window now. Undefined if its
   * window is now too large.
   */
  openStream(stream: Stream, increment: number): boolean | undefined {
    const wasOpen = stream.sendWindow > 0;
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) return undefined;
    // A stream with window is never starved, so there is nothing to wake.
    if (wasOpen || stream.sendWindow <= 0 || !this.#starved.delete(stream)) return false;
    if (this.#connection > 0) this.#wake(stream);
    else this.#blocked.add(stream);
    return true;
  }

  /** Applies the peer's SETTINGS to the frame size, and to the windows of all streams. */
  change(streamWindow: number | undefined, frameBytes: number | undefined, streams: () => Iterable<Stream>): void {
    this.frameBytes = Math.min(frameBytes ?? this.frameBytes, this.#maxFrameBytes);
    if (streamWindow === undefined) return;
    const difference = streamWindow - this.stream;
    this.stream = streamWindow;
    for (const stream of streams()) {
      stream.sendWindow += difference;
      if (stream.sendWindow > maxWindow) throw tooLarge("SETTINGS opens a stream's window above 2^31-1");
      if (stream.sendWindow > 0 && this.#starved.delete(stream)) this.#blocked.add(stream);
    }
    this.#unblock();
  }

  /** To be called when the output has room again. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const stream of waiting) this.#wake(stream);
  }

  #unblock(): void {
    // A stream that must wait again goes to the end of the list and is not tried again now, so that each stream has its
    // turn.
    for (const stream of this.#blocked) {
      if (this.#connection <= 0) break;
      this.#blocked.delete(stream);
      // SETTINGS may have closed the stream's own window in the meantime.
      if (stream.sendWindow <= 0) this.#starved.add(stream);
      else this.#wake(stream);
    }
  }
}

function tooLarge(message: string): Http2ConnectionError {
  return new Http2ConnectionError(errorCode.flowControlError, message);
}
