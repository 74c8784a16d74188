import { messageOf, transientError, type Clock } from "../../base/index.ts";
import type { SecureStream, SocketAddress } from "../../net/index.ts";
import {
  defaultMaxFrameSize,
  defaultWindow,
  errorCode,
  errorCodeName,
  FrameReader,
  FrameWriter,
  hpackEncode,
  Http2ConnectionError,
  maxStreamId,
  maxWindow,
  setting,
  type FrameHandler,
} from "../../wire/http2/index.ts";
import { endOfTurn, type Flushable } from "./end-of-turn.ts";
import { hboneLimits } from "./limits.ts";
import { TunnelStream, type StreamOwner } from "./tunnel-stream.ts";

export interface TunnelConnectionHandler {
  /** HEADERS for a stream; `stream` is new on a server, ours on a client. */
  headers(stream: TunnelStream, fields: string[], endStream: boolean): void;
  /** The peer will take no stream above `lastStreamId`; those above were not looked at. */
  goaway(lastStreamId: number): void;
  /** RST_STREAM for a stream that lives; it is closed next. */
  resetByPeer?(stream: TunnelStream): void;
  /** The last stream has gone. */
  idle(): void;
  /** `cutOff` when we ended it, by ENHANCE_YOUR_CALM. */
  connectionClosed(error: Error | undefined, cutOff: HboneCutOff | undefined): void;
}

/**
 * Why a peer was cut off: `idle_frames` that move nothing on, requests taken back at once (`resets`), `unread_answers`, or a block
 * of headers beyond all bounds (`header_block`).
 */
export type HboneCutOff = "idle_frames" | "resets" | "unread_answers" | "header_block";

export interface TunnelConnectionOptions {
  readonly stream: SecureStream;
  readonly server: boolean;
  readonly handler: TunnelConnectionHandler;
  readonly clock: Clock;
}

/**
 * HTTP/2 for CONNECT tunnels over one TLS connection, either end. The proxy's connection for requests (`Http2Connection`) shares
 * frames, HPACK and the turn's end with this one, and no more: what is alike of the two (who waits for window or for the kernel,
 * some 60 lines) is the inside of the loop that moves every byte, where one class for both would call out for each frame, and the
 * rest differs by who is at the other end: a tunnel's peer has proved who it is, its streams have no trailers and end half by half,
 * and its life is watched while it is idle too. Any workload of the mesh can be such a peer, so its floods are bounded as a request's.
 */
export class TunnelConnection implements FrameHandler, StreamOwner, Flushable {
  readonly #stream: SecureStream;
  readonly #server: boolean;
  readonly #handler: TunnelConnectionHandler;
  readonly #clock: Clock;
  readonly #reader: FrameReader;
  readonly #writer = new FrameWriter();
  readonly #streams = new Map<number, TunnelStream>();
  /** Streams that wait for window, in the order in which they began to. */
  readonly #blocked = new Set<TunnelStream>();
  /** Streams that wait for the kernel to take our output. */
  #waiting = new Set<TunnelStream>();
  #nextId = 1;
  #lastPeerId = 0;
  #sendWindow = defaultWindow;
  #peerStreamWindow = defaultWindow;
  #peerFrameBytes = defaultMaxFrameSize;
  #peerMaxStreams = Infinity;
  #receiveWindow: number = hboneLimits.connectionWindowBytes;
  #uncredited = 0;
  #queuedBytes = 0;
  /** Frames that moved nothing on, less those that tunnels' bytes have earned, since {@link #idleSinceMs}. */
  #idleFrames = 0;
  #idleSinceMs: number;
  #cutOff: HboneCutOff | undefined;
  #marked = false;
  #busy = false;
  #ended = false;
  #endWanted = false;
  #closed = false;
  #pingSentAtMs: number | undefined;
  #pingTimer: Disposable | undefined;
  #onPong: (() => void) | undefined;

  constructor(options: TunnelConnectionOptions) {
    this.#stream = options.stream;
    this.#server = options.server;
    this.#handler = options.handler;
    this.#clock = options.clock;
    this.#idleSinceMs = options.clock.steadyMs();
    this.#reader = new FrameReader(this, { maxFrameSize: hboneLimits.maxFrameBytes, expectPreface: options.server });
  }

  /** Sends the preface and starts to read. */
  start(): void {
    if (!this.#server) this.#writer.preface();
    this.#writer.settings([
      [setting.enablePush, 0],
      [setting.initialWindowSize, hboneLimits.streamWindowBytes],
      [setting.maxFrameSize, hboneLimits.maxFrameBytes],
      ...(this.#server ? [[setting.maxConcurrentStreams, hboneLimits.acceptedStreams] as const] : []),
    ]);
    this.#writer.windowUpdate(0, hboneLimits.connectionWindowBytes - defaultWindow);
    this.#stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#inputEnded(),
      drain: () => this.#drained(),
      close: (error) => this.#close(error),
    });
    this.#mark();
    this.#armPing();
    this.#stream.resume();
  }

  get peerIdentity(): string {
    return this.#stream.peerIdentity;
  }
  get local(): SocketAddress {
    return this.#stream.local;
  }
  get remote(): SocketAddress {
    return this.#stream.remote;
  }
  get closed(): boolean {
    return this.#closed || this.#ended;
  }
  get activeStreams(): number {
    return this.#streams.size;
  }
  /** How many streams the peer takes at a time. */
  get peerMaxStreams(): number {
    return this.#peerMaxStreams;
  }
  get lastPeerId(): number {
    return this.#lastPeerId;
  }
  /** False when the stream ids are used up. */
  get hasIds(): boolean {
    return this.#nextId < maxStreamId;
  }

  /** Opens a stream by a request's fields (names and values in turn); clients only. */
  open(fields: readonly string[]): TunnelStream {
    const stream = new TunnelStream(this, this.#nextId, this.#peerStreamWindow);
    this.#nextId += 2;
    this.#streams.set(stream.id, stream);
    this.#earn(0);
    this.sendHeaders(stream, fields, false);
    return stream;
  }

  sendHeaders(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    if (this.closed) return;
    this.#writer.headers(stream.id, hpackEncode(fields), endStream, this.#peerFrameBytes);
    this.#mark();
  }

  sendGoaway(lastStreamId: number, code: number, debug = ""): void {
    if (this.closed) return;
    this.#writer.goaway(lastStreamId, code, debug);
    this.#mark();
  }

  /** Calls back when the peer has seen all that was sent so far; one at a time. */
  roundTrip(done: () => void): void {
    this.#onPong = done;
    this.#writer.ping(Buffer.from("goaway!!"), false);
    this.#mark();
  }

  /** Flushes, ends our side, and closes when the peer has too, or after a grace time. */
  end(): void {
    if (this.closed) return;
    this.flush();
    this.#endWanted = this.#writer.length > 0;
    if (this.#endWanted) return;
    this.#ended = true;
    this.#pingTimer?.[Symbol.dispose]();
    this.#stream.end();
    this.#clock.after(hboneLimits.closeGraceMs, () => this.#stream.destroy());
  }

  /** Ends the connection at once; streams see the error. */
  destroy(error: Error): void {
    if (this.#closed) return;
    this.#stream.destroy();
    this.#close(error);
  }

  // What streams ask of us.

  sendData(stream: TunnelStream, bytes: Uint8Array, start: number): number {
    let at = start;
    while (at < bytes.length) {
      if (this.#isFull()) {
        this.#waiting.add(stream);
        break;
      }
      const length = Math.min(bytes.length - at, stream.sendWindow, this.#sendWindow, this.#peerFrameBytes);
      if (length <= 0) {
        this.#blocked.add(stream);
        break;
      }
      this.#writer.data(stream.id, bytes, at, at + length, false);
      this.#earn(length);
      stream.sendWindow -= length;
      this.#sendWindow -= length;
      at += length;
    }
    if (at > start) this.#mark();
    return at;
  }

  sendEnd(stream: TunnelStream): void {
    if (this.closed) return;
    this.#writer.data(stream.id, noBytes, 0, 0, true);
    this.#mark();
  }

  sendReset(stream: TunnelStream, code: number): void {
    if (this.closed) return;
    this.#writer.rstStream(stream.id, code);
    this.#mark();
  }

  congested(stream: TunnelStream): boolean {
    if (!this.#isFull()) return false;
    this.#waiting.add(stream);
    return true;
  }

  creditStream(stream: TunnelStream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < hboneLimits.streamWindowBytes / 4 || this.closed) return;
    this.#writer.windowUpdate(stream.id, stream.uncredited);
    stream.credited(stream.uncredited);
    this.#mark();
  }

  queuedBytesChanged(difference: number): void {
    this.#queuedBytes += difference;
    if (difference < 0) this.#creditConnection(0);
  }

  streamEnded(stream: TunnelStream): void {
    this.#streams.delete(stream.id);
    this.#blocked.delete(stream);
    this.#waiting.delete(stream);
    if (this.#streams.size === 0 && !this.#closed) this.#handler.idle();
  }

  // What the reader tells us.

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.#received(chunk.length);
    this.#creditConnection(chunk.length);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (this.#isUnopened(streamId))
        throw new Http2ConnectionError(errorCode.protocolError, `DATA on stream ${streamId}, which was never opened`);
      if (chunk.length === 0) this.#idleFrame();
      return;
    }
    if (chunk.length > 0) this.#earn(chunk.length);
    else if (!endStream) this.#idleFrame();
    if (stream.receive(chunk, endStream)) return;
    this.sendReset(stream, errorCode.flowControlError);
    stream.abort(transientError("tunnel-flow-control", "the peer sent more than the tunnel's window or after its end"));
  }

  padding(streamId: number, length: number): void {
    this.#idleFrame();
    this.#received(length);
    this.#creditConnection(length);
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) this.creditStream(stream, length);
  }

  headers(streamId: number, fields: string[], endStream: boolean): void {
    const known = this.#streams.get(streamId);
    if (known !== undefined) {
      // An answer, which our own request has earned; else trailers or the like.
      this.#idleFrame();
      this.#handler.headers(known, fields, endStream);
      return;
    }
    if (!this.#server || streamId % 2 === 0) {
      if (this.#isUnopened(streamId))
        throw new Http2ConnectionError(
          errorCode.protocolError,
          `HEADERS on stream ${streamId}, which is not the peer's to open`,
        );
      this.#idleFrame();
      return;
    }
    if (streamId <= this.#lastPeerId) {
      this.#idleFrame();
      return;
    }
    this.#lastPeerId = streamId;
    const stream = new TunnelStream(this, streamId, this.#peerStreamWindow);
    if (this.#streams.size >= hboneLimits.acceptedStreams) {
      this.#idleFrame();
      this.sendReset(stream, errorCode.refusedStream);
      return;
    }
    this.#streams.set(streamId, stream);
    this.#earn(0);
    this.#handler.headers(stream, fields, endStream);
  }

  rstStream(streamId: number, code: number): void {
    if (this.#isUnopened(streamId))
      throw new Http2ConnectionError(
        errorCode.protocolError,
        `RST_STREAM on stream ${streamId}, which was never opened`,
      );
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#idleFrame();
      return;
    }
    this.#handler.resetByPeer?.(stream);
    stream.resetByPeer(code);
  }

  settings(values: ReadonlyMap<number, number>): void {
    this.#idleFrame();
    const window = values.get(setting.initialWindowSize);
    if (window !== undefined) {
      for (const stream of this.#streams.values()) {
        stream.sendWindow += window - this.#peerStreamWindow;
        if (stream.sendWindow > maxWindow)
          throw new Http2ConnectionError(errorCode.flowControlError, "SETTINGS opens a tunnel's window above 2^31-1");
      }
      this.#peerStreamWindow = window;
    }
    this.#peerFrameBytes = Math.min(
      values.get(setting.maxFrameSize) ?? this.#peerFrameBytes,
      hboneLimits.maxFrameBytes,
    );
    this.#peerMaxStreams = values.get(setting.maxConcurrentStreams) ?? this.#peerMaxStreams;
    this.#writer.settingsAck();
    this.#mark();
    this.#unblock();
  }

  settingsAck(): void {
    this.#idleFrame();
  }

  ignored(): void {
    this.#idleFrame();
  }

  ping(opaque: Buffer): void {
    this.#idleFrame();
    this.#writer.ping(opaque, true);
    this.#mark();
  }

  pingAck(opaque: Buffer): void {
    this.#idleFrame();
    if (opaque.toString("latin1") === "goaway!!") this.#onPong?.();
    else this.#pingSentAtMs = undefined;
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.#idleFrame();
    this.#handler.goaway(lastStreamId);
    if (this.#server) return;
    const reason =
      code === errorCode.noError
        ? "is going away"
        : `ended the connection (${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`})`;
    for (const stream of this.#streams.values()) {
      if (stream.id > lastStreamId)
        stream.abort(transientError("tunnel-refused", `the peer ${reason} and did not take the tunnel`));
    }
  }

  windowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      this.#sendWindow += increment;
      if (this.#sendWindow > maxWindow)
        throw new Http2ConnectionError(errorCode.flowControlError, "the connection's window is above 2^31-1");
      if (this.#blocked.size === 0) this.#idleFrame();
      this.#unblock();
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#idleFrame();
      return;
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) {
      this.sendReset(stream, errorCode.flowControlError);
      stream.abort(transientError("tunnel-flow-control", "the peer opened the tunnel's window above 2^31-1"));
    } else if (!this.#blocked.has(stream)) this.#idleFrame();
    else if (this.#sendWindow > 0 && stream.sendWindow > 0) {
      this.#blocked.delete(stream);
      stream.writable();
    }
  }

  /** What to throw, inside of a frame's handling, when the peer costs more than it asks for. */
  cutOff(reason: HboneCutOff, message: string): Http2ConnectionError {
    this.#cutOff = reason;
    return new Http2ConnectionError(errorCode.enhanceYourCalm, message);
  }

  /** Sends what the turn has put together, unless the kernel is still busy with the last one. */
  flush(): void {
    this.#marked = false;
    if (this.#busy || this.#closed || this.#ended || this.#writer.length === 0) return;
    if (this.#stream.bufferedBytes === 0) this.#writer.returned();
    const taken = this.#stream.write(this.#writer.view());
    if (this.#stream.bufferedBytes === 0) this.#writer.reuse();
    else this.#writer.release();
    if (!taken) this.#busy = true;
    else this.#wakeWaiting();
  }

  #drained(): void {
    this.#busy = false;
    this.flush();
    this.#wakeWaiting();
    if (this.#endWanted) this.end();
  }

  #wakeWaiting(): void {
    if (this.#waiting.size === 0 || this.#isFull()) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const stream of waiting) stream.writable();
  }

  #unblock(): void {
    if (this.#sendWindow <= 0 || this.#blocked.size === 0) return;
    for (const stream of this.#blocked) {
      if (stream.sendWindow <= 0) continue;
      if (this.#sendWindow <= 0) break;
      // A stream that is blocked again goes to the end: nobody starves.
      this.#blocked.delete(stream);
      stream.writable();
    }
  }

  #isFull(): boolean {
    return this.#writer.length >= hboneLimits.outputHighWaterBytes;
  }

  #isUnopened(streamId: number): boolean {
    return this.#server
      ? streamId > this.#lastPeerId || streamId % 2 === 0
      : streamId >= this.#nextId || streamId % 2 === 0;
  }

  #mark(): void {
    if (this.#marked || this.closed) return;
    this.#marked = true;
    endOfTurn.mark(this);
  }

  #read(chunk: Buffer): void {
    if (this.#closed) return;
    try {
      this.#reader.push(chunk);
    } catch (error) {
      const code = error instanceof Http2ConnectionError ? error.code : errorCode.internalError;
      // The reader itself complains of nothing but headers by this code.
      if (code === errorCode.enhanceYourCalm) this.#cutOff ??= "header_block";
      this.#fail(code, messageOf(error));
      return;
    }
    if (this.#writer.length <= hboneLimits.maxOutputBytes) return;
    this.#cutOff = "unread_answers";
    this.#fail(errorCode.enhanceYourCalm, "the peer does not read our answers");
  }

  #received(bytes: number): void {
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow < 0)
      throw new Http2ConnectionError(errorCode.flowControlError, "the peer sent more than the connection's window");
  }

  /** Bytes that move allow frames beside them: WINDOW_UPDATEs of stream and connection for every few KiB, a PING to measure. */
  #earn(bytes: number): void {
    if (this.#idleFrames > -hboneLimits.maxIdleFramesPerSecond) this.#idleFrames -= framesEarned + (bytes >> 10);
  }

  #idleFrame(): void {
    this.#idleFrames += 1;
    if (this.#idleFrames <= hboneLimits.maxIdleFramesPerSecond) return;
    const nowMs = this.#clock.steadyMs();
    if (nowMs - this.#idleSinceMs < 1_000) throw this.cutOff("idle_frames", "too many frames that move nothing on");
    this.#idleSinceMs = nowMs;
    this.#idleFrames = 0;
  }

  #fail(code: number, message: string): void {
    if (this.#closed) return;
    this.#writer.goaway(this.#lastPeerId, code, message.slice(0, 200));
    this.flush();
    this.#stream.end();
    this.#close(transientError("http2-connection", `the peer broke HTTP/2: ${message}`));
    // Not at once: what the peer has still under way would be answered by a reset, and it would never read the GOAWAY.
    this.#clock.after(hboneLimits.closeGraceMs, () => this.#stream.destroy());
  }

  #inputEnded(): void {
    this.#stream.end();
    if (this.#streams.size > 0) this.#close(transientError("connection-closed", "the peer closed the connection"));
    else this.#close(undefined);
  }

  #creditConnection(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < hboneLimits.connectionWindowBytes / 4 || this.closed) return;
    if (this.#queuedBytes > hboneLimits.maxQueuedBytes) return;
    this.#writer.windowUpdate(0, this.#uncredited);
    this.#receiveWindow += this.#uncredited;
    this.#uncredited = 0;
    this.#mark();
  }

  #armPing(): void {
    this.#pingTimer = this.#clock.after(hboneLimits.pingIntervalMs, () => {
      if (this.closed) return;
      const now = this.#clock.steadyMs();
      if (this.#pingSentAtMs === undefined) {
        this.#pingSentAtMs = now;
        this.#writer.ping(Buffer.alloc(8), false);
        this.#mark();
      } else if (now - this.#pingSentAtMs >= hboneLimits.pingTimeoutMs) {
        this.destroy(
          transientError("ping-timeout", `the peer did not answer a PING within ${hboneLimits.pingTimeoutMs / 1000} s`),
        );
        return;
      }
      this.#armPing();
    });
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pingTimer?.[Symbol.dispose]();
    for (const stream of this.#streams.values())
      stream.abort(error ?? transientError("connection-closed", "the connection was closed"));
    this.#handler.connectionClosed(error, this.#cutOff);
  }
}

/** Idle frames that each frame which moves a tunnel on allows, besides one for each KiB. */
const framesEarned = 3;
const noBytes = new Uint8Array(0);
