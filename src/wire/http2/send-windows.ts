import { defaultMaxFrameSize, defaultWindow, errorCode, Http2ConnectionError, maxWindow } from "./constants.ts";
import type { SessionStream } from "./session-stream.ts";

/** The send windows of a connection and of its streams, with the streams that wait for window. */
export class SendWindows<Stream extends SessionStream> {
  readonly #maxFrameBytes: number;
  /** Streams that wait for window, in order of arrival. */
  readonly #blocked = new Set<Stream>();
  /** Streams that wait until the output has room. */
  #waiting = new Set<Stream>();
  #connection = defaultWindow;
  /** The initial window of our streams. */
  stream = defaultWindow;
  /** The largest frame that both the peer and we accept. */
  frameBytes = defaultMaxFrameSize;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** The size of the DATA frame that may be sent now. 0 or less if the stream must wait for window. */
  room(stream: Stream): number {
    return Math.min(stream.sendWindow, this.#connection, this.frameBytes);
  }

  /** How much DATA may be sent now in frames of any number. 0 or less: none. */
  roomForAll(stream: Stream): number {
    return Math.min(stream.sendWindow, this.#connection);
  }

  spend(stream: Stream, bytes: number): void {
    stream.sendWindow -= bytes;
    this.#connection -= bytes;
  }

  waitForWindow(stream: Stream): void {
    this.#blocked.add(stream);
  }

  waitForOutput(stream: Stream): void {
    this.#waiting.add(stream);
  }

  forget(stream: Stream): void {
    this.#blocked.delete(stream);
    this.#waiting.delete(stream);
  }

  /** Applies a WINDOW_UPDATE of the connection. Returns whether a stream waited for window. */
  openConnection(increment: number): boolean {
    this.#connection += increment;
    if (this.#connection > maxWindow) throw tooLarge("the connection's window is above 2^31-1");
    if (this.#blocked.size === 0) return false;
    this.#unblock();
    return true;
  }

  /** Applies a WINDOW_UPDATE of a stream. Returns whether the stream waited. Undefined if its window overflows. */
  openStream(stream: Stream, increment: number): boolean | undefined {
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) return undefined;
    if (!this.#blocked.has(stream)) return false;
    if (this.#connection > 0 && stream.sendWindow > 0) {
      this.#blocked.delete(stream);
      stream.writable();
    }
    return true;
  }

  /** Applies the peer's SETTINGS. */
  change(streamWindow: number | undefined, frameBytes: number | undefined, streams: () => Iterable<Stream>): void {
    this.frameBytes = Math.min(frameBytes ?? this.frameBytes, this.#maxFrameBytes);
    if (streamWindow === undefined) return;
    const difference = streamWindow - this.stream;
    this.stream = streamWindow;
    for (const stream of streams()) {
      stream.sendWindow += difference;
      if (stream.sendWindow > maxWindow) throw tooLarge("SETTINGS opens a stream's window above 2^31-1");
    }
    this.#unblock();
  }

  /** The output has room again. */
  wake(): void {
    if (this.#waiting.size === 0) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const stream of waiting) stream.writable();
  }

  #unblock(): void {
    if (this.#connection <= 0) return;
    // A stream that is blocked again goes to the end of the queue and is not tried again in this turn. So no stream
    // starves.
    for (const stream of this.#blocked) {
      if (stream.sendWindow <= 0) continue;
      if (this.#connection <= 0) break;
      this.#blocked.delete(stream);
      stream.writable();
    }
  }
}

function tooLarge(message: string): Http2ConnectionError {
  return new Http2ConnectionError(errorCode.flowControlError, message);
}
