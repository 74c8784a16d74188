import { defaultMaxFrameSize, defaultWindow, errorCode, Http2ConnectionError, setting } from "./constants.ts";
import { Http2FloodError, type FloodReason } from "./flood-budget.ts";
import { FrameReader } from "./frame-reader.ts";
import { hpackEncode } from "./hpack-encoder.ts";
import { SessionCore } from "./session-core.ts";
import { SessionInput } from "./session-input.ts";
import type { SessionStream } from "./session-stream.ts";
import type { SessionOptions, SessionPort } from "./session-types.ts";

const lifePing = Buffer.from("alive???", "latin1");
/** Tells the peer's decoder that our encoder uses no table, after it asked for a smaller one (RFC 7541, 4.2). */
const emptyTableUpdate = Buffer.from([0x20]);
const noBytes = new Uint8Array(0);

/**
 * One end of an HTTP/2 connection (RFC 9113) without input or output. It takes the peer's bytes and the time, calls
 * streams and the {@link SessionPort}, and writes frames where the port says. It keeps stream ids, the windows of both
 * directions, SETTINGS, HPACK's table signals, budgets for floods, GOAWAY, signs of life, and which half of a stream
 * has ended.
 */
export class Http2Session<Stream extends SessionStream> {
  readonly #core: SessionCore<Stream>;
  readonly #options: SessionOptions;
  readonly #reader: FrameReader;
  #heardAtMs: number;
  #pingSentAtMs: number;
  openedStreams = 0;
  /** Why the peer was cut off for its floods. */
  floodReason: FloodReason | undefined;

  constructor(port: SessionPort, options: SessionOptions) {
    const { limits, nowMs, server, maxReadHeaderBytes: headerBytes } = options;
    this.#core = new SessionCore(port, options);
    this.#options = options;
    this.#heardAtMs = nowMs;
    this.#pingSentAtMs = nowMs - 1;
    this.#reader = new FrameReader(new SessionInput(this.#core), {
      maxFrameSize: limits.maxFrameBytes,
      expectPreface: server,
      ...(headerBytes === undefined ? {} : { maxHeaderListBytes: headerBytes, maxHeaderBlockBytes: headerBytes }),
    });
  }

  /** Puts the preface and our SETTINGS. */
  start(): void {
    const { maxStreams, maxHeaderListBytes, server, limits } = this.#options;
    const { streamWindowBytes, connectionWindowBytes, maxFrameBytes } = limits;
    const output = this.#core.port.output();
    if (!server) output.preface();
    output.settings([
      server ? [setting.maxConcurrentStreams, maxStreams] : [setting.enablePush, 0],
      [setting.initialWindowSize, streamWindowBytes],
      ...(maxFrameBytes === defaultMaxFrameSize ? [] : [[setting.maxFrameSize, maxFrameBytes] as const]),
      ...(maxHeaderListBytes === undefined ? [] : [[setting.maxHeaderListSize, maxHeaderListBytes] as const]),
    ]);
    output.windowUpdate(0, connectionWindowBytes - defaultWindow);
  }

  get streams(): Iterable<Stream> {
    return this.#core.streams.all;
  }

  get activeStreams(): number {
    return this.#core.streams.size;
  }

  /** It takes no input and puts no frames any more. */
  get over(): boolean {
    return this.#core.over;
  }

  /** We, or the peer, accept no more streams. */
  get draining(): boolean {
    const { streams } = this.#core;
    return streams.draining || streams.peerLeaves;
  }

  /** How many streams the server allows at a time. Undefined until it has said so. */
  get peerMaxStreams(): number | undefined {
    return this.#core.sawSettings ? this.#core.peerMaxStreams : undefined;
  }

  /** Whether a client may open another stream now. */
  get takesStream(): boolean {
    const { streams, over, maxStreams, peerMaxStreams } = this.#core;
    return !over && !this.draining && streams.hasIds && streams.size < Math.min(maxStreams, peerMaxStreams);
  }

  // ---- input, and the time

  /** What the peer sent. */
  receive(chunk: Buffer, nowMs: number): void {
    const core = this.#core;
    if (core.over) return;
    core.nowMs = nowMs;
    core.budget.nowMs = nowMs;
    this.#heardAtMs = nowMs;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.#fail(
        error instanceof Http2ConnectionError
          ? error
          : new Http2ConnectionError(errorCode.internalError, error instanceof Error ? error.message : String(error)),
      );
    }
  }

  /** Must be called regularly: asks a quiet peer for a sign of life. */
  sweep(nowMs: number): void {
    const { pingIntervalMs, pingTimeoutMs, pingsWhenIdle } = this.#options;
    this.#core.nowMs = nowMs;
    if (this.over || pingIntervalMs === 0 || (this.activeStreams === 0 && !pingsWhenIdle)) return;
    if (this.#pingSentAtMs > this.#heardAtMs) {
      if (nowMs - this.#pingSentAtMs >= pingTimeoutMs) this.#core.port.unanswered();
    } else if (nowMs - this.#heardAtMs >= pingIntervalMs) {
      this.#pingSentAtMs = nowMs;
      this.#core.port.output().ping(lifePing, false);
    }
  }

  /** There is room in the output again. */
  wake(): void {
    this.#core.windows.wake();
  }

  // ---- streams

  /** The id of a client's next stream, which is to be handed to {@link adopt}. */
  claimId(): number {
    return this.#core.streams.claimId();
  }

  /** A stream begins. */
  adopt(stream: Stream): void {
    const { windows, limits, nowMs, streams, server, budget } = this.#core;
    stream.sendWindow = windows.stream;
    stream.receiveWindow = limits.streamWindowBytes;
    stream.openedAtMs = nowMs;
    this.openedStreams += 1;
    streams.add(stream);
    if (!server) budget.earn(0);
  }

  /** Refuses a stream that the port was just told of. */
  refuse(streamId: number, code: number): void {
    this.#core.reset(streamId, code);
  }

  /** The stream needs nothing of us any more. */
  ended(stream: Stream): void {
    const core = this.#core;
    if (!core.streams.delete(stream)) return;
    core.windows.forget(stream);
    if (stream.sentEnd) core.budget.served();
    core.port.streamEnded();
    core.finishIfDone();
  }

  sendHeaders(stream: Stream, fields: readonly string[], endStream: boolean): void {
    const isInterim = fields[0] === ":status" && fields[1]?.startsWith("1") === true;
    this.sendBlock(stream, hpackEncode(fields), endStream, isInterim);
  }

  /** A header block as {@link hpackEncode} made it. */
  sendBlock(stream: Stream, block: Buffer, endStream: boolean, isInterim = false): void {
    const core = this.#core;
    if (!isInterim) stream.answered = true;
    if (endStream) stream.sentEnd = true;
    if (core.over) return;
    let whole = block;
    if (core.peerDecoderShrunk) {
      core.peerDecoderShrunk = false;
      whole = Buffer.concat([emptyTableUpdate, block]);
    }
    core.port.output().headers(stream.id, whole, endStream, core.windows.frameBytes);
  }

  /** Frames as much as the windows and the output allow, from `start` on; answers where it stopped. `endStream` goes with the last byte. */
  sendData(stream: Stream, bytes: Uint8Array, start: number, endStream: boolean): number {
    const { port, windows, over } = this.#core;
    if (over) return bytes.length;
    let at = start;
    while (at < bytes.length) {
      if (port.isFull()) {
        windows.waitForOutput(stream);
        return at;
      }
      const length = Math.min(bytes.length - at, windows.room(stream));
      if (length <= 0) {
        windows.waitForWindow(stream);
        return at;
      }
      port.output().data(stream.id, bytes, at, at + length, endStream && at + length === bytes.length);
      this.spend(stream, length);
      at += length;
    }
    if (endStream) {
      if (bytes.length === 0) port.output().data(stream.id, noBytes, 0, 0, true);
      stream.sentEnd = true;
    }
    return at;
  }

  /** Bytes that one DATA frame may have now; 0 or less when there is no window. */
  room(stream: Stream): number {
    return this.#core.windows.room(stream);
  }

  /**
   * How many bytes a port may write as one DATA frame by itself, and report by {@link spend}. 0 if the stream must wait
   * until it is woken.
   */
  reserve(stream: Stream): number {
    const { port, windows, over } = this.#core;
    if (over) return 0;
    if (port.isFull()) {
      windows.waitForOutput(stream);
      return 0;
    }
    const room = windows.room(stream);
    if (room > 0) return room;
    windows.waitForWindow(stream);
    return 0;
  }

  spend(stream: Stream, bytes: number): void {
    this.#core.windows.spend(stream, bytes);
    this.#core.budget.earn(bytes);
  }

  /** Sends RST_STREAM. The stream reports its end by {@link ended}. */
  reset(stream: Stream, code: number): void {
    this.#core.reset(stream.id, code);
  }

  /** True when a writer had better wait until its stream is writable. */
  congested(stream: Stream): boolean {
    if (!this.#core.port.isFull()) return false;
    this.#core.windows.waitForOutput(stream);
    return true;
  }

  /** The stream's bytes were read: the peer gets window for them. */
  consumed(stream: Stream, bytes: number): void {
    this.#core.creditStream(stream, bytes);
  }

  /** Bytes that streams hold back have become more, or fewer. */
  queuedBytesChanged(difference: number): void {
    this.#core.received.queued(difference);
    if (difference < 0) this.#core.creditConnection();
  }

  // ---- the end

  /**
   * Lets the peer go without losing a stream. A server's GOAWAY takes all streams, and when the peer has seen it, or by
   * {@link refuseMore}, another names the last. The connection is finished with its last stream.
   */
  drain(): void {
    this.#core.drain();
  }

  /** The second step of {@link drain}: the peer has seen the first, or takes too long. */
  refuseMore(): void {
    this.#core.refuseMore();
  }

  /** GOAWAY that takes nothing more, without waiting for streams. */
  sayGoaway(): void {
    const { over, port, streams } = this.#core;
    if (!over) port.output().goaway(streams.lastPeerId, errorCode.noError);
  }

  /** Ends by GOAWAY: the peer broke a rule. */
  fail(code: number, message: string): void {
    this.#fail(new Http2ConnectionError(code, message));
  }

  /** Ends by GOAWAY: the peer costs too much. */
  cutOff(reason: FloodReason, message: string): void {
    this.#fail(new Http2FloodError(reason, message));
  }

  /** The connection has ended: no more frames in either direction. */
  close(): void {
    this.#core.over = true;
  }

  #fail(error: Http2ConnectionError): void {
    const { over, port, streams } = this.#core;
    if (over) return;
    // The reader itself complains of nothing but headers by this code.
    if (error.code === errorCode.enhanceYourCalm)
      this.floodReason = error instanceof Http2FloodError ? error.reason : "header_block";
    port.output().goaway(streams.lastPeerId, error.code, error.message.slice(0, 200));
    this.#core.over = true;
    port.failed(error);
  }
}
