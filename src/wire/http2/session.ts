import { defaultMaxFrameSize, defaultWindow, errorCode, Http2ConnectionError, setting } from "./constants.ts";
import { Http2FloodError, type FloodReason } from "./flood-budget.ts";
import { FrameReader } from "./frame-reader.ts";
import { hpackEncode } from "./hpack-encoder.ts";
import { SessionCore } from "./session-core.ts";
import { SessionInput } from "./session-input.ts";
import type { SessionStream } from "./session-stream.ts";
import type { SessionOptions, SessionPort } from "./session-types.ts";

const lifePing = Buffer.from("alive???", "latin1");
/**
 * In HPACK, says that our encoder uses no table. It must be sent after the peer has asked for a smaller table (RFC
 * 7541, 4.2).
 */
const emptyTableUpdate = Buffer.from([0x20]);
const noBytes = new Uint8Array(0);

/**
 * One end of an HTTP/2 connection (RFC 9113), without I/O. It gets the peer's bytes and the time, calls the streams and
 * the {@link SessionPort}, and writes frames to the port's buffer. It handles stream ids, windows, SETTINGS, HPACK's
 * table, flood budgets, GOAWAY, pings, and streams that one side has ended.
 */
export class Http2Session<Stream extends SessionStream> {
  readonly #core: SessionCore<Stream>;
  readonly #options: SessionOptions;
  readonly #reader: FrameReader;
  #heardAtMs: number;
  #pingSentAtMs: number;
  #droppedBytes = 0;
  openedStreams = 0;
  /** Why the peer was cut off, if it flooded us. */
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

  /** Writes a client's preface, and our SETTINGS. */
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

  /** Whether the session has ended: it ignores input and writes no more frames. */
  get over(): boolean {
    return this.#core.over;
  }

  /** Whether one side accepts no more streams. */
  get draining(): boolean {
    const { streams } = this.#core;
    return streams.draining || streams.peerLeaves;
  }

  /** How many concurrent streams the server allows. Undefined before it has said so. */
  get peerMaxStreams(): number | undefined {
    return this.#core.sawSettings ? this.#core.peerMaxStreams : undefined;
  }

  /** Whether a client may open another stream now. */
  get takesStream(): boolean {
    const { streams, over, maxStreams, peerMaxStreams } = this.#core;
    return !over && !this.draining && streams.hasIds && streams.size < Math.min(maxStreams, peerMaxStreams);
  }

  // ---- input and time

  receive(chunk: Buffer, nowMs: number): void {
    if (this.#core.over) {
      this.#drop(chunk);
      return;
    }
    this.#heardAtMs = nowMs;
    const isWaiting = this.#reader.isDeferred;
    this.#turn(nowMs, chunk);
    if (!isWaiting && this.#reader.isDeferred) this.#tellDeferred();
  }

  /** Whether input waits because the peer must not open more streams for now. */
  get isDeferred(): boolean {
    return !this.#core.over && this.#reader.isDeferred;
  }

  /** Handles the frames that wait. It must be called in a later turn after {@link SessionPort.deferred}. */
  proceed(nowMs: number): void {
    if (!this.isDeferred) return;
    this.#turn(nowMs);
    this.#tellDeferred();
  }

  #drop(chunk: Buffer): void {
    const { limits, port } = this.#core;
    this.#droppedBytes += chunk.length;
    if (this.#droppedBytes > limits.maxDroppedBytes) port.sendsOn();
  }

  #tellDeferred(): void {
    if (this.isDeferred) this.#core.port.deferred(this.#core.budget.wait());
  }

  /** Reads a chunk, or the bytes that are left of earlier ones. */
  #turn(nowMs: number, chunk?: Buffer): void {
    const core = this.#core;
    core.nowMs = nowMs;
    core.budget.nowMs = nowMs;
    core.openedInTurn = 0;
    try {
      if (chunk === undefined) this.#reader.proceed();
      else this.#reader.push(chunk);
    } catch (error) {
      if (!(error instanceof Http2ConnectionError)) core.port.faulted(error);
      this.#fail(
        error instanceof Http2ConnectionError
          ? error
          : new Http2ConnectionError(errorCode.internalError, "the connection ended because of an internal error"),
      );
    }
  }

  /** Does not count the time until now as quiet time of the peer, because nobody has read its bytes. */
  excuse(nowMs: number): void {
    this.#heardAtMs = nowMs;
  }

  /**
   * Pings a quiet peer, and reports one that does not answer. It must be called regularly, with the time of the steady
   * clock.
   */
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

  /** To be called when the output has room again. */
  wake(): void {
    this.#core.windows.wake();
  }

  // ---- streams

  /** The id for a client's next stream. The stream must be passed to {@link adopt}. */
  claimId(): number {
    return this.#core.streams.claimId();
  }

  adopt(stream: Stream): void {
    const { windows, limits, nowMs, streams, server, budget } = this.#core;
    stream.sendWindow = windows.stream;
    stream.receiveWindow = limits.streamWindowBytes;
    stream.openedAtMs = nowMs;
    this.openedStreams += 1;
    streams.add(stream);
    if (!server) budget.earn(0);
  }

  refuse(streamId: number, code: number): void {
    this.#core.reset(streamId, code);
  }

  /** To be called when the stream no longer needs the session. */
  ended(stream: Stream): void {
    const core = this.#core;
    if (!core.streams.delete(stream)) return;
    core.windows.forget(stream);
    if (stream.isCostly) core.budget.takenBack();
    else if (stream.sentEnd) core.budget.served();
    core.port.streamEnded();
    core.finishIfDone();
  }

  sendHeaders(stream: Stream, fields: readonly string[], endStream: boolean): void {
    const isInterim = fields[0] === ":status" && fields[1]?.startsWith("1") === true;
    this.sendBlock(stream, hpackEncode(fields), endStream, isInterim);
  }

  /** Sends a header block that {@link hpackEncode} has made. */
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

  /**
   * Writes as much from `start` on as the windows and the output allow, and returns where it has stopped. The frame
   * with the last byte has `endStream`.
   */
  sendData(stream: Stream, bytes: Uint8Array, start: number, endStream: boolean): number {
    const { port, windows, over } = this.#core;
    if (over) return bytes.length;
    const inPlaceBytes = port.inPlaceBytes ?? Infinity;
    let at = bytes.length - start < inPlaceBytes ? start : this.#sendInPlace(stream, bytes, start, endStream);
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

  #sendInPlace(stream: Stream, bytes: Uint8Array, start: number, endStream: boolean): number {
    const { port, windows } = this.#core;
    const end = Math.min(bytes.length, start + windows.roomForAll(stream));
    if (end - start < (port.inPlaceBytes ?? Infinity)) return start;
    if (port.sendInPlace === undefined || port.isFull()) return start;
    const part = start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
    if (!port.sendInPlace(stream.id, part, windows.frameBytes, endStream && end === bytes.length)) return start;
    this.spend(stream, end - start);
    return end;
  }

  /** The size of one DATA frame now. If it is 0 or less, a window is used up. */
  room(stream: Stream): number {
    return this.#core.windows.room(stream);
  }

  /**
   * How many bytes a port may write itself now as one DATA frame. It must report those with {@link spend}. If it is 0,
   * the stream must wait until it is woken.
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

  /** Sends RST_STREAM. The stream must still report its end with {@link ended}. */
  reset(stream: Stream, code: number): void {
    this.#core.reset(stream.id, code);
  }

  /** Whether a writer must wait until its stream is writable. */
  congested(stream: Stream): boolean {
    if (!this.#core.port.isFull()) return false;
    this.#core.windows.waitForOutput(stream);
    return true;
  }

  /** To be called when bytes of the stream were read. The peer then gets window for them. */
  consumed(stream: Stream, bytes: number): void {
    this.#core.creditStream(stream, bytes);
  }

  /** To be called when the number of bytes that streams hold back has changed. */
  queuedBytesChanged(difference: number): void {
    const held = this.#core.received.queued(difference);
    this.#core.port.inputHeld?.(held);
    if (difference < 0) this.#core.creditConnection();
  }

  // ---- end

  /**
   * Closes without losing a stream. A server's first GOAWAY still allows all streams. When the peer has seen it, or
   * after {@link refuseMore}, a second one names the last stream. The connection ends with its last stream.
   */
  drain(): void {
    this.#core.drain();
  }

  /** The second step of {@link drain}, if the peer takes too long with the first one. */
  refuseMore(): void {
    this.#core.refuseMore();
  }

  /** Sends a GOAWAY that allows no more streams, but does not wait for streams. */
  sayGoaway(): void {
    const { over, port, streams } = this.#core;
    if (!over) port.output().goaway(streams.lastPeerId, errorCode.noError);
  }

  /** Ends the connection with GOAWAY, because the peer has broken the protocol. */
  fail(code: number, message: string): void {
    this.#fail(new Http2ConnectionError(code, message));
  }

  /** Ends the connection with GOAWAY, because the peer causes too much work. */
  cutOff(reason: FloodReason, message: string): void {
    this.#fail(new Http2FloodError(reason, message));
  }

  /** To be called when the connection has ended. No more frames are read or written. */
  close(): void {
    this.#core.over = true;
  }

  #fail(error: Http2ConnectionError): void {
    const { over, port, streams } = this.#core;
    if (over) return;
    // Apart from floods, only the reader uses this code, for header blocks.
    if (error.code === errorCode.enhanceYourCalm)
      this.floodReason = error instanceof Http2FloodError ? error.reason : "header_block";
    port.output().goaway(streams.lastPeerId, error.code, error.message.slice(0, 200));
    this.#core.over = true;
    port.failed(error);
  }
}
