import { messageOf, type Clock } from "../../base/index.ts";
import { endOfTurn, type Flushable } from "../../dataplane/index.ts";
import type { ByteStream, SocketAddress } from "../../net/index.ts";
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
import { http2Limits } from "./http2-limits.ts";
import { Http2Stream, type StreamFailure, type StreamOwner } from "./http2-stream.ts";

export interface Http2ConnectionHandler {
  /** A client opens a stream: set its handler, which is then given the head. */
  opened(stream: Http2Stream): void;
  /** The peer goes away: streams that it has seen go on to their end. */
  goaway(): void;
  /** A stream has ended, or the peer says how many it takes. */
  streamsChanged(): void;
  /** The last call. */
  closed(error: Error | undefined): void;
}

export interface Http2ConnectionOptions {
  readonly stream: ByteStream;
  readonly server: boolean;
  readonly handler: Http2ConnectionHandler;
  readonly clock: Clock;
  /** Announced as SETTINGS_MAX_HEADER_LIST_SIZE. */
  readonly maxHeaderListBytes: number;
  /** Streams that may be open: a server's, of its client; a client's, of its own, as far as the server allows. */
  readonly maxStreams: number;
  /** Quiet time of a connection with streams after which its peer is asked for a sign of life; 0 means never. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Streams that a server is taken to allow until it says how many. */
  readonly assumedStreams?: number | undefined;
}

/** Idle frames that each frame which moves something on allows: WINDOW_UPDATE for stream and connection, a PING to measure. */
const framesEarned = 3;
const goawayPing = Buffer.from("goaway!!", "latin1");
const lifePing = Buffer.from("alive???", "latin1");
/** Tells the peer's decoder that our encoder uses no table, after it asked for a smaller one (RFC 7541, 4.2). */
const emptyTableUpdate = Buffer.from([0x20]);

/** An HTTP/2 connection (RFC 9113), either end: streams, flow control both ways, settings, and the bounds of {@link http2Limits}. */
export class Http2Connection implements FrameHandler, StreamOwner, Flushable {
  readonly #stream: ByteStream;
  readonly #server: boolean;
  readonly #handler: Http2ConnectionHandler;
  readonly #clock: Clock;
  readonly #maxHeaderListBytes: number;
  readonly #maxStreams: number;
  readonly #pingIntervalMs: number;
  readonly #pingTimeoutMs: number;
  readonly #reader: FrameReader;
  readonly #writer = new FrameWriter();
  readonly #streams = new Map<number, Http2Stream>();
  /** Streams that wait for window, in the order in which they began to. */
  readonly #blocked = new Set<Http2Stream>();
  /** Streams that wait for the kernel to take our output. */
  #waiting = new Set<Http2Stream>();
  #nextId = 1;
  #lastPeerId = 0;
  /** Streams above it were told that we will not look at them. */
  #lastAcceptedId: number = maxStreamId;
  #sendWindow = defaultWindow;
  #receiveWindow: number = http2Limits.connectionWindowBytes;
  #peerStreamWindow = defaultWindow;
  #peerFrameBytes = defaultMaxFrameSize;
  #peerMaxStreams: number;
  #sawSettings = false;
  #peerDecoderShrunk = false;
  #uncredited = 0;
  #queuedBytes = 0;
  #idleFrames = 0;
  #marked = false;
  #busy = false;
  #draining = false;
  #endWanted = false;
  #ended = false;
  #closed = false;
  #heardAtMs: number;
  #pingSentAtMs = 0;
  #goawayGrace: Disposable | undefined;
  #closeGrace: Disposable | undefined;
  openedStreams = 0;

  constructor(options: Http2ConnectionOptions) {
    this.#stream = options.stream;
    this.#server = options.server;
    this.#handler = options.handler;
    this.#clock = options.clock;
    this.#maxHeaderListBytes = options.maxHeaderListBytes;
    this.#maxStreams = options.maxStreams;
    this.#pingIntervalMs = options.pingIntervalMs;
    this.#pingTimeoutMs = options.pingTimeoutMs;
    this.#peerMaxStreams = options.assumedStreams ?? http2Limits.openedStreamsBeforeSettings;
    this.#heardAtMs = options.clock.steadyMs();
    const listBytes = options.maxHeaderListBytes * http2Limits.headerListSlack;
    this.#reader = new FrameReader(this, {
      maxFrameSize: http2Limits.maxFrameBytes,
      expectPreface: options.server,
      maxHeaderListBytes: listBytes,
      maxHeaderBlockBytes: listBytes,
    });
  }

  /** Sends the preface and starts to read; `received` are bytes that came already. */
  start(received?: Buffer): void {
    if (!this.#server) this.#writer.preface();
    this.#writer.settings([
      ...(this.#server
        ? [[setting.maxConcurrentStreams, this.#maxStreams] as const]
        : [[setting.enablePush, 0] as const]),
      [setting.initialWindowSize, http2Limits.streamWindowBytes],
      [setting.maxFrameSize, http2Limits.maxFrameBytes],
      [setting.maxHeaderListSize, this.#maxHeaderListBytes],
    ]);
    this.#writer.windowUpdate(0, http2Limits.connectionWindowBytes - defaultWindow);
    this.#stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#inputEnded(),
      drain: () => this.#drained(),
      close: (error) => this.#close(error),
    });
    this.#mark();
    if (received !== undefined) this.#read(received);
    if (!this.#closed) this.#stream.resume();
  }

  get local(): SocketAddress {
    return this.#stream.local;
  }

  get activeStreams(): number {
    return this.#streams.size;
  }

  /** Bytes of the connection that the kernel has taken: whether something was sent since. */
  get sentBytes(): number {
    return this.#stream.sentBytes - this.#stream.bufferedBytes;
  }

  get closed(): boolean {
    return this.#closed || this.#ended;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** How many streams the server takes at a time; undefined before it has said. */
  get peerMaxStreams(): number | undefined {
    return this.#sawSettings ? this.#peerMaxStreams : undefined;
  }

  /** Whether the peer takes another stream now; clients only. */
  get takesStream(): boolean {
    const limit = Math.min(this.#maxStreams, this.#peerMaxStreams);
    return !this.closed && !this.#draining && this.#nextId < maxStreamId && this.#streams.size < limit;
  }

  /** A new stream of ours; its head is to be sent at once. */
  open(): Http2Stream {
    const stream = new Http2Stream(this, this.#nextId, this.#peerStreamWindow);
    this.#nextId += 2;
    this.openedStreams += 1;
    this.#streams.set(stream.id, stream);
    return stream;
  }

  /**
   * Lets the peer go without losing a request: a GOAWAY that takes all streams, and when the peer has seen it, one that
   * names the last. The connection ends with its last stream.
   */
  drain(): void {
    if (this.#draining || this.closed) return;
    this.#draining = true;
    if (!this.#server) {
      this.#endWhenIdle();
      return;
    }
    this.#writer.goaway(maxStreamId, errorCode.noError);
    this.#writer.ping(goawayPing, false);
    this.#goawayGrace = this.#clock.after(http2Limits.goawayGraceMs, () => this.#refuseMore());
    this.#mark();
  }

  /** Ends the connection at once; its streams are told. */
  destroy(error: Error): void {
    if (this.#closed) return;
    this.#stream.destroy();
    this.#close(error);
  }

  /** Ends by GOAWAY: the peer broke a rule. */
  fail(code: number, message: string): void {
    if (this.closed) return;
    this.#writer.goaway(this.#lastPeerId, code, message.slice(0, 200));
    this.flush();
    this.#ended = true;
    this.#stream.end();
    this.#armCloseGrace();
    this.#abortStreams({ by: "connection", code, unprocessed: false, message });
  }

  /** To be called once a second. */
  sweep(nowMs: number): void {
    this.#idleFrames = 0;
    for (const stream of this.#streams.values()) stream.sweep();
    if (this.closed || this.#streams.size === 0 || this.#pingIntervalMs === 0) return;
    if (this.#pingSentAtMs > this.#heardAtMs) {
      if (nowMs - this.#pingSentAtMs >= this.#pingTimeoutMs)
        this.destroy(new Error(`the peer did not answer a PING within ${this.#pingTimeoutMs / 1000} s`));
    } else if (nowMs - this.#heardAtMs >= this.#pingIntervalMs) {
      this.#pingSentAtMs = nowMs;
      this.#writer.ping(lifePing, false);
      this.#mark();
    }
  }

  // ---- StreamOwner

  sendHeaders(stream: Http2Stream, fields: readonly string[], endStream: boolean): void {
    if (this.closed) return;
    let block = hpackEncode(fields);
    if (this.#peerDecoderShrunk) {
      this.#peerDecoderShrunk = false;
      block = Buffer.concat([emptyTableUpdate, block]);
    }
    this.#writer.headers(stream.id, block, endStream, this.#peerFrameBytes);
    this.#mark();
  }

  sendData(stream: Http2Stream, bytes: Uint8Array, start: number, endStream: boolean): number {
    if (this.closed) return bytes.length;
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
      this.#writer.data(stream.id, bytes, at, at + length, endStream && at + length === bytes.length);
      this.#idleFrames -= framesEarned;
      stream.sendWindow -= length;
      this.#sendWindow -= length;
      at += length;
    }
    if (bytes.length === 0 && endStream) this.#writer.data(stream.id, bytes, 0, 0, true);
    this.#mark();
    return at;
  }

  sendReset(stream: Http2Stream, code: number): void {
    if (this.closed) return;
    this.#writer.rstStream(stream.id, code);
    this.#mark();
  }

  congested(stream: Http2Stream): boolean {
    if (!this.#isFull()) return false;
    this.#waiting.add(stream);
    return true;
  }

  creditStream(stream: Http2Stream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < http2Limits.streamWindowBytes / 4 || this.closed || stream.remoteEnded) return;
    this.#writer.windowUpdate(stream.id, stream.uncredited);
    stream.credited(stream.uncredited);
    this.#mark();
  }

  queuedBytesChanged(difference: number): void {
    this.#queuedBytes += difference;
    if (difference < 0) this.#creditConnection();
  }

  streamEnded(stream: Http2Stream): void {
    this.#streams.delete(stream.id);
    this.#blocked.delete(stream);
    this.#waiting.delete(stream);
    if (this.#closed) return;
    this.#handler.streamsChanged();
    this.#endWhenIdle();
  }

  // ---- FrameHandler

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.#received(chunk.length);
    const stream = this.#streams.get(streamId);
    if (chunk.length > 0) this.#idleFrames -= framesEarned;
    else if (!endStream || stream === undefined) this.#idleFrame();
    if (stream !== undefined) this.#streamError(stream, stream.receive(chunk, endStream));
    else this.#refuseUnopened(streamId, "DATA");
    this.#creditConnection();
  }

  padding(streamId: number, length: number): void {
    this.#idleFrame();
    this.#received(length);
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) this.#streamError(stream, stream.receivePadding(length));
    this.#creditConnection();
  }

  headers(streamId: number, fields: string[], endStream: boolean): void {
    let stream = this.#streams.get(streamId);
    if (stream === undefined) {
      if (!this.#server || streamId % 2 === 0) {
        this.#refuseUnopened(streamId, "HEADERS");
        return;
      }
      if (streamId <= this.#lastPeerId || streamId > this.#lastAcceptedId) {
        // Trailers of a stream that we have ended, or a request that came after our GOAWAY.
        this.#idleFrame();
        return;
      }
      // We broke off inside of this chunk.
      if (this.closed) return;
      this.#lastPeerId = streamId;
      stream = new Http2Stream(this, streamId, this.#peerStreamWindow);
      if (this.#streams.size >= this.#maxStreams) {
        this.#idleFrame();
        this.#writer.rstStream(streamId, errorCode.refusedStream);
        this.#mark();
        return;
      }
      this.openedStreams += 1;
      this.#idleFrames -= framesEarned;
      this.#streams.set(streamId, stream);
      this.#handler.opened(stream);
    }
    this.#streamError(stream, stream.receiveHeaders(fields, endStream));
  }

  rstStream(streamId: number, code: number): void {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) stream.resetByPeer(code);
    else {
      this.#refuseUnopened(streamId, "RST_STREAM");
      this.#idleFrame();
    }
  }

  settings(values: ReadonlyMap<number, number>): void {
    this.#idleFrame();
    const window = values.get(setting.initialWindowSize);
    if (window !== undefined) {
      for (const stream of this.#streams.values()) {
        stream.sendWindow += window - this.#peerStreamWindow;
        if (stream.sendWindow > maxWindow)
          throw new Http2ConnectionError(errorCode.flowControlError, "SETTINGS opens a stream's window above 2^31-1");
      }
      this.#peerStreamWindow = window;
    }
    this.#peerFrameBytes = Math.min(
      values.get(setting.maxFrameSize) ?? this.#peerFrameBytes,
      http2Limits.maxFrameBytes,
    );
    this.#peerMaxStreams =
      values.get(setting.maxConcurrentStreams) ?? (this.#sawSettings ? this.#peerMaxStreams : Infinity);
    this.#sawSettings = true;
    if ((values.get(setting.headerTableSize) ?? defaultHeaderTable) < defaultHeaderTable)
      this.#peerDecoderShrunk = true;
    this.#writer.settingsAck();
    this.#mark();
    this.#unblock();
    this.#handler.streamsChanged();
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
    if (opaque.equals(goawayPing)) this.#refuseMore();
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.#draining = true;
    if (!this.#server) {
      const reason =
        code === errorCode.noError
          ? "is going away"
          : `ended the connection (${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`})`;
      this.#abortStreams({ by: "connection", code, unprocessed: true, message: `the peer ${reason}` }, lastStreamId);
    }
    this.#handler.goaway();
    this.#endWhenIdle();
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
      this.#refuseUnopened(streamId, "WINDOW_UPDATE");
      this.#idleFrame();
      return;
    }
    stream.sendWindow += increment;
    if (stream.sendWindow > maxWindow) this.#streamError(stream, errorCode.flowControlError);
    else if (this.#blocked.has(stream)) {
      if (this.#sendWindow > 0 && stream.sendWindow > 0) {
        this.#blocked.delete(stream);
        stream.writable();
      }
    } else this.#idleFrame();
  }

  /** Sends what the turn has put together, unless the kernel is still busy with the last one. */
  flush(): void {
    this.#marked = false;
    if (this.#busy || this.#closed || this.#ended || this.#writer.length === 0) return;
    if (this.#stream.bufferedBytes === 0) this.#writer.returned();
    const taken = this.#stream.write(this.#writer.view());
    if (this.#stream.bufferedBytes === 0) this.#writer.reuse();
    else this.#writer.release();
    if (taken) this.#wakeWaiting();
    else this.#busy = true;
    if (this.#endWanted && this.#writer.length === 0) this.#end();
  }

  // ---- input

  #read(chunk: Buffer): void {
    if (this.closed) return;
    this.#heardAtMs = this.#clock.steadyMs();
    try {
      this.#reader.push(chunk);
    } catch (error) {
      this.fail(error instanceof Http2ConnectionError ? error.code : errorCode.internalError, messageOf(error));
      return;
    }
    if (this.#writer.length > http2Limits.maxOutputBytes)
      this.fail(errorCode.enhanceYourCalm, "the peer does not read our answers");
  }

  #received(bytes: number): void {
    this.#receiveWindow -= bytes;
    this.#uncredited += bytes;
    if (this.#receiveWindow < 0)
      throw new Http2ConnectionError(errorCode.flowControlError, "the peer sent more than the connection's window");
  }

  /** What streams hold back is not held against the others, up to a bound. */
  #creditConnection(): void {
    if (
      this.#uncredited < http2Limits.connectionWindowBytes / 4 ||
      this.#queuedBytes > http2Limits.maxQueuedBytes ||
      this.closed
    )
      return;
    this.#writer.windowUpdate(0, this.#uncredited);
    this.#receiveWindow += this.#uncredited;
    this.#uncredited = 0;
    this.#mark();
  }

  #idleFrame(): void {
    this.#idleFrames += 1;
    if (this.#idleFrames > http2Limits.maxIdleFramesPerSecond)
      throw new Http2ConnectionError(errorCode.enhanceYourCalm, "too many frames that move nothing on");
  }

  #streamError(stream: Http2Stream, code: number): void {
    if (code === errorCode.noError || stream.closed) return;
    this.sendReset(stream, code);
    stream.abort({
      by: "protocol",
      code,
      unprocessed: false,
      message: `the peer broke the rules of the stream (${errorCodeName(code)})`,
    });
  }

  #refuseUnopened(streamId: number, frame: string): void {
    const unopened = this.#server
      ? streamId > this.#lastPeerId || streamId % 2 === 0
      : streamId >= this.#nextId || streamId % 2 === 0;
    if (unopened)
      throw new Http2ConnectionError(errorCode.protocolError, `${frame} on stream ${streamId}, which was never opened`);
  }

  #inputEnded(): void {
    // Half-closed connections have no use in HTTP/2.
    if (this.#streams.size > 0) this.destroy(new Error("the peer ended the connection"));
    else this.#end();
  }

  // ---- output

  #drained(): void {
    this.#busy = false;
    this.flush();
    if (this.#writer.length === 0) this.#wakeWaiting();
  }

  #wakeWaiting(): void {
    if (this.#waiting.size === 0 || this.#isFull()) return;
    const waiting = this.#waiting;
    this.#waiting = new Set();
    for (const stream of waiting) stream.writable();
  }

  #unblock(): void {
    if (this.#sendWindow <= 0 || this.#blocked.size === 0) return;
    // A stream that is blocked again goes to the end, and is not asked again now: nobody starves.
    for (const stream of this.#blocked) {
      if (stream.sendWindow <= 0) continue;
      if (this.#sendWindow <= 0) break;
      this.#blocked.delete(stream);
      stream.writable();
    }
  }

  #isFull(): boolean {
    return this.#writer.length >= http2Limits.outputHighWaterBytes;
  }

  #mark(): void {
    if (this.#marked || this.closed) return;
    this.#marked = true;
    endOfTurn.mark(this);
  }

  // ---- the end

  #refuseMore(): void {
    if (!this.#draining || this.#lastAcceptedId !== maxStreamId) return;
    this.#goawayGrace?.[Symbol.dispose]();
    this.#lastAcceptedId = this.#lastPeerId;
    if (this.closed) return;
    this.#writer.goaway(this.#lastPeerId, errorCode.noError);
    this.#mark();
    this.#endWhenIdle();
  }

  /** A connection that takes no more streams ends with the last one. */
  #endWhenIdle(): void {
    const takesMore = this.#server ? this.#lastAcceptedId === maxStreamId : false;
    if (!this.#draining || takesMore || this.#streams.size > 0 || this.closed) return;
    if (!this.#server) this.#writer.goaway(0, errorCode.noError);
    this.#endWanted = true;
    this.#mark();
  }

  #end(): void {
    if (this.closed) return;
    this.#ended = true;
    this.#stream.end();
    this.#armCloseGrace();
  }

  #armCloseGrace(): void {
    this.#closeGrace ??= this.#clock.after(http2Limits.closeGraceMs, () => this.#stream.destroy());
  }

  #abortStreams(failure: StreamFailure, above = 0): void {
    for (const stream of this.#streams.values()) if (stream.id > above) stream.abort(failure);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#goawayGrace?.[Symbol.dispose]();
    this.#closeGrace?.[Symbol.dispose]();
    this.#abortStreams({
      by: "connection",
      code: errorCode.internalError,
      unprocessed: false,
      message: error?.message ?? "connection termination",
    });
    this.#handler.closed(error);
  }
}

const defaultHeaderTable = 4096;
