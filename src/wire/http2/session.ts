import {
  defaultMaxFrameSize,
  defaultWindow,
  errorCode,
  Http2ConnectionError,
  maxStreamId,
  setting,
} from "./constants.ts";
import { FloodBudget, Http2FloodError, type FloodReason } from "./flood-budget.ts";
import { FrameReader, type FrameHandler } from "./frame-reader.ts";
import { hpackEncode } from "./hpack-encoder.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { SendWindows } from "./send-windows.ts";
import type { SessionStream } from "./session-stream.ts";
import type { SessionLimits, SessionOptions, SessionPort } from "./session-types.ts";
import { StreamTable } from "./stream-table.ts";

const goawayPing = Buffer.from("goaway!!", "latin1");
const lifePing = Buffer.from("alive???", "latin1");
/** Tells the peer's decoder that our encoder uses no table, after it asked for a smaller one (RFC 7541, 4.2). */
const emptyTableUpdate = Buffer.from([0x20]);
const defaultHeaderTableBytes = 4096;
/** DATA below it, for a stream that is gone, can hardly have been under way. */
const smallDataBytes = 1024;
const noBytes = new Uint8Array(0);

/** Codes by which we blame the peer for the reset of a stream. */
const blamingCodes: ReadonlySet<number> = new Set([
  errorCode.protocolError,
  errorCode.flowControlError,
  errorCode.streamClosed,
  errorCode.frameSizeError,
  errorCode.compressionError,
]);

/**
 * One end of an HTTP/2 connection (RFC 9113) without input or output: it takes the peer's bytes and the time, tells streams and the
 * {@link SessionPort}, and puts frames where the port says. It keeps stream ids, the windows both ways, SETTINGS, HPACK's table
 * signals, budgets for floods, GOAWAY, signs of life, and which half of a stream has ended.
 */
export class Http2Session<Stream extends SessionStream> implements FrameHandler {
  readonly #port: SessionPort;
  readonly #options: SessionOptions;
  readonly #limits: SessionLimits;
  readonly #server: boolean;
  readonly #reader: FrameReader;
  readonly #budget: FloodBudget;
  readonly #windows: SendWindows<Stream>;
  readonly #received: ReceiveWindow;
  readonly #streams: StreamTable<Stream>;
  readonly #streamCreditBytes: number;
  #peerMaxStreams: number;
  #sawSettings = false;
  #peerDecoderShrunk = false;
  #over = false;
  #nowMs: number;
  #heardAtMs: number;
  #pingSentAtMs: number;
  openedStreams = 0;
  /** Why the peer was cut off for its floods. */
  floodReason: FloodReason | undefined;

  constructor(port: SessionPort, options: SessionOptions) {
    const { limits, nowMs } = options;
    this.#port = port;
    this.#options = options;
    this.#limits = limits;
    this.#server = options.server;
    this.#budget = new FloodBudget(limits, options.streamsName, nowMs);
    this.#windows = new SendWindows(limits.maxSentFrameBytes);
    this.#streams = new StreamTable(options.server);
    const { streamWindowBytes, connectionWindowBytes, creditParts, maxQueuedBytes } = limits;
    this.#streamCreditBytes = streamWindowBytes / creditParts;
    this.#received = new ReceiveWindow(connectionWindowBytes, connectionWindowBytes / creditParts, maxQueuedBytes);
    this.#peerMaxStreams = options.assumedStreams ?? Infinity;
    this.#nowMs = nowMs;
    this.#heardAtMs = nowMs;
    this.#pingSentAtMs = nowMs - 1;
    const headerBytes = options.maxReadHeaderBytes;
    this.#reader = new FrameReader(this, {
      maxFrameSize: limits.maxFrameBytes,
      expectPreface: options.server,
      ...(headerBytes === undefined ? {} : { maxHeaderListBytes: headerBytes, maxHeaderBlockBytes: headerBytes }),
    });
  }

  /** Puts the preface and our SETTINGS. */
  start(): void {
    const { maxStreams, maxHeaderListBytes } = this.#options;
    const { streamWindowBytes, connectionWindowBytes, maxFrameBytes } = this.#limits;
    const output = this.#port.output();
    if (!this.#server) output.preface();
    output.settings([
      this.#server ? [setting.maxConcurrentStreams, maxStreams] : [setting.enablePush, 0],
      [setting.initialWindowSize, streamWindowBytes],
      ...(maxFrameBytes === defaultMaxFrameSize ? [] : [[setting.maxFrameSize, maxFrameBytes] as const]),
      ...(maxHeaderListBytes === undefined ? [] : [[setting.maxHeaderListSize, maxHeaderListBytes] as const]),
    ]);
    output.windowUpdate(0, connectionWindowBytes - defaultWindow);
  }

  get streams(): Iterable<Stream> {
    return this.#streams.all;
  }

  get activeStreams(): number {
    return this.#streams.size;
  }

  /** It takes no input and puts no frames any more. */
  get over(): boolean {
    return this.#over;
  }

  /** We, or the peer, want no more streams on it. */
  get draining(): boolean {
    return this.#streams.draining || this.#streams.peerLeaves;
  }

  /** How many streams the server takes at a time; undefined before it has said. */
  get peerMaxStreams(): number | undefined {
    return this.#sawSettings ? this.#peerMaxStreams : undefined;
  }

  /** Whether a client may open another stream now. */
  get takesStream(): boolean {
    const limit = Math.min(this.#options.maxStreams, this.#peerMaxStreams);
    return !this.#over && !this.draining && this.#streams.hasIds && this.#streams.size < limit;
  }

  // ---- input, and the time

  /** What the peer sent. */
  receive(chunk: Buffer, nowMs: number): void {
    if (this.#over) return;
    this.#nowMs = nowMs;
    this.#heardAtMs = nowMs;
    this.#budget.nowMs = nowMs;
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

  /** To be called now and then: asks a quiet peer for a sign of life. */
  sweep(nowMs: number): void {
    const { pingIntervalMs, pingTimeoutMs, pingsWhenIdle } = this.#options;
    this.#nowMs = nowMs;
    if (this.#over || pingIntervalMs === 0 || (this.#streams.size === 0 && !pingsWhenIdle)) return;
    if (this.#pingSentAtMs > this.#heardAtMs) {
      if (nowMs - this.#pingSentAtMs >= pingTimeoutMs) this.#port.unanswered();
    } else if (nowMs - this.#heardAtMs >= pingIntervalMs) {
      this.#pingSentAtMs = nowMs;
      this.#port.output().ping(lifePing, false);
    }
  }

  /** There is room in the output again. */
  wake(): void {
    this.#windows.wake();
  }

  // ---- streams

  /** The id of a client's next stream, which is to be handed to {@link adopt}. */
  claimId(): number {
    return this.#streams.claimId();
  }

  /** A stream begins. */
  adopt(stream: Stream): void {
    stream.sendWindow = this.#windows.stream;
    stream.receiveWindow = this.#limits.streamWindowBytes;
    stream.openedAtMs = this.#nowMs;
    this.openedStreams += 1;
    this.#streams.add(stream);
    if (!this.#server) this.#budget.earn(0);
  }

  /** Refuses a stream that the port was just told of. */
  refuse(streamId: number, code: number): void {
    this.#port.output().rstStream(streamId, code);
    this.#charge(code);
  }

  /** The stream needs nothing of us any more. */
  ended(stream: Stream): void {
    if (!this.#streams.delete(stream)) return;
    this.#windows.forget(stream);
    if (stream.sentEnd) this.#budget.served();
    this.#port.streamEnded();
    this.#finishIfDone();
  }

  sendHeaders(stream: Stream, fields: readonly string[], endStream: boolean): void {
    this.sendBlock(
      stream,
      hpackEncode(fields),
      endStream,
      fields[0] === ":status" && fields[1]?.startsWith("1") === true,
    );
  }

  /** A header block as {@link hpackEncode} made it. */
  sendBlock(stream: Stream, block: Buffer, endStream: boolean, interim = false): void {
    if (!interim) stream.answered = true;
    if (endStream) stream.sentEnd = true;
    if (this.#over) return;
    let whole = block;
    if (this.#peerDecoderShrunk) {
      this.#peerDecoderShrunk = false;
      whole = Buffer.concat([emptyTableUpdate, block]);
    }
    this.#port.output().headers(stream.id, whole, endStream, this.#windows.frameBytes);
  }

  /** Frames as much as the windows and the output allow, from `start` on; answers where it stopped. `endStream` goes with the last byte. */
  sendData(stream: Stream, bytes: Uint8Array, start: number, endStream: boolean): number {
    if (this.#over) return bytes.length;
    const port = this.#port;
    let at = start;
    while (at < bytes.length) {
      if (port.isFull()) {
        this.#windows.waitForOutput(stream);
        return at;
      }
      const length = Math.min(bytes.length - at, this.#windows.room(stream));
      if (length <= 0) {
        this.#windows.waitForWindow(stream);
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
    return this.#windows.room(stream);
  }

  /** Bytes that a port may put as one DATA frame by itself, and tell by {@link spend}; 0 when the stream has to wait, and is woken. */
  reserve(stream: Stream): number {
    if (this.#over) return 0;
    if (this.#port.isFull()) {
      this.#windows.waitForOutput(stream);
      return 0;
    }
    const room = this.#windows.room(stream);
    if (room > 0) return room;
    this.#windows.waitForWindow(stream);
    return 0;
  }

  spend(stream: Stream, bytes: number): void {
    this.#windows.spend(stream, bytes);
    this.#budget.earn(bytes);
  }

  /** RST_STREAM. The stream says by {@link ended} that it is gone. */
  reset(stream: Stream, code: number): void {
    if (this.#over) return;
    this.#port.output().rstStream(stream.id, code);
    this.#charge(code);
  }

  /** True when a writer had better wait until its stream is writable. */
  congested(stream: Stream): boolean {
    if (!this.#port.isFull()) return false;
    this.#windows.waitForOutput(stream);
    return true;
  }

  /** The stream's bytes were read: the peer gets window for them. */
  consumed(stream: Stream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < this.#streamCreditBytes || this.#over || stream.remoteEnded) return;
    this.#port.output().windowUpdate(stream.id, stream.uncredited);
    stream.receiveWindow += stream.uncredited;
    stream.uncredited = 0;
  }

  /** Bytes that streams hold back have become more, or fewer. */
  queuedBytesChanged(difference: number): void {
    this.#received.queued(difference);
    if (difference < 0) this.#creditConnection();
  }

  // ---- the end

  /**
   * Lets the peer go without losing a stream. A server's GOAWAY takes all streams, and when the peer has seen it, or by
   * {@link refuseMore}, another names the last. The connection is finished with its last stream.
   */
  drain(): void {
    if (this.#streams.draining || this.#over) return;
    this.#streams.draining = true;
    if (this.#server) {
      const output = this.#port.output();
      output.goaway(maxStreamId, errorCode.noError);
      output.ping(goawayPing, false);
    } else this.#finishIfDone();
  }

  /** The second step of {@link drain}: the peer has seen the first, or takes too long. */
  refuseMore(): void {
    if (this.#over || !this.#streams.acceptNoMore()) return;
    this.#port.output().goaway(this.#streams.lastPeerId, errorCode.noError);
    this.#finishIfDone();
  }

  /** GOAWAY that takes nothing more, without waiting for streams. */
  sayGoaway(): void {
    if (!this.#over) this.#port.output().goaway(this.#streams.lastPeerId, errorCode.noError);
  }

  /** Ends by GOAWAY: the peer broke a rule. */
  fail(code: number, message: string): void {
    this.#fail(new Http2ConnectionError(code, message));
  }

  /** The peer costs too much. */
  cutOff(reason: FloodReason, message: string): void {
    this.#fail(new Http2FloodError(reason, message));
  }

  /** The connection has ended: no more frames, either way. */
  close(): void {
    this.#over = true;
  }

  // ---- FrameHandler

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.#received.received(chunk.length);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#streams.refuseUnopened(streamId, "DATA");
      if (chunk.length < smallDataBytes) this.#budget.idleFrame();
    } else {
      if (chunk.length > 0) this.#budget.earn(chunk.length);
      else if (!endStream) this.#budget.idleFrame();
      this.#streamError(stream, this.#deliver(stream, chunk, endStream));
    }
    this.#creditConnection();
  }

  padding(streamId: number, length: number): void {
    this.#budget.idleFrame();
    this.#received.received(length);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#streams.refuseUnopened(streamId, "DATA");
    else if (stream.remoteEnded) this.#streamError(stream, errorCode.streamClosed);
    else {
      stream.receiveWindow -= length;
      if (stream.receiveWindow < 0) this.#streamError(stream, errorCode.flowControlError);
      else this.consumed(stream, length);
    }
    this.#creditConnection();
  }

  headers(streamId: number, fields: string[], endStream: boolean): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#opened(streamId, fields, endStream);
      return;
    }
    // A server's answer was earned by the request; else a head within a stream, or an interim one.
    if (!endStream) this.#budget.idleFrame();
    if (stream.remoteEnded) {
      this.#streamError(stream, errorCode.streamClosed);
      return;
    }
    stream.remoteEnded = endStream;
    this.#streamError(stream, stream.receiveHeaders(fields, endStream));
    this.#throwIfExceeded();
  }

  rstStream(streamId: number, code: number): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#streams.refuseUnopened(streamId, "RST_STREAM");
      this.#budget.idleFrame();
      return;
    }
    const { prematureResetMs, answeredResetsAreFree } = this.#limits;
    const free = (stream.answered && answeredResetsAreFree) || this.#nowMs - stream.openedAtMs >= prematureResetMs;
    stream.resetByPeer(code);
    if (!free && this.#server) this.#budget.takenBack();
    this.#throwIfExceeded();
  }

  settings(values: ReadonlyMap<number, number>): void {
    this.#budget.idleFrame();
    this.#peerMaxStreams =
      values.get(setting.maxConcurrentStreams) ?? (this.#sawSettings ? this.#peerMaxStreams : Infinity);
    this.#sawSettings = true;
    if ((values.get(setting.headerTableSize) ?? defaultHeaderTableBytes) < defaultHeaderTableBytes)
      this.#peerDecoderShrunk = true;
    if (!this.#over) this.#port.output().settingsAck();
    this.#windows.change(values.get(setting.initialWindowSize), values.get(setting.maxFrameSize), this.#streams.all);
    this.#port.settingsChanged();
  }

  settingsAck(): void {
    this.#budget.idleFrame();
  }

  ignored(): void {
    this.#budget.idleFrame();
  }

  ping(opaque: Buffer): void {
    this.#budget.idleFrame();
    if (!this.#over) this.#port.output().ping(opaque, true);
  }

  pingAck(opaque: Buffer): void {
    this.#budget.idleFrame();
    if (opaque.equals(goawayPing)) this.refuseMore();
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.#budget.idleFrame();
    this.#streams.peerLeaves = true;
    this.#port.peerLeaves(lastStreamId, code, debug);
    this.#finishIfDone();
  }

  windowUpdate(streamId: number, increment: number): void {
    if (streamId === 0) {
      if (!this.#windows.openConnection(increment)) this.#budget.idleFrame();
      return;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      this.#streams.refuseUnopened(streamId, "WINDOW_UPDATE");
      this.#budget.idleFrame();
      return;
    }
    const waited = this.#windows.openStream(stream, increment);
    if (waited === undefined) this.#streamError(stream, errorCode.flowControlError);
    else if (!waited) this.#budget.idleFrame();
  }

  // ---- input

  #opened(streamId: number, fields: readonly string[], endStream: boolean): void {
    // We may have broken off inside of this chunk.
    if (!this.#streams.isNew(streamId) || this.#over) {
      this.#budget.idleFrame();
      return;
    }
    if (this.#streams.size >= this.#options.maxStreams) {
      this.#budget.idleFrame();
      this.#port.output().rstStream(streamId, errorCode.refusedStream);
      return;
    }
    this.#budget.earn(0);
    this.#port.opened(streamId, fields, endStream);
    this.#throwIfExceeded();
  }

  #deliver(stream: Stream, chunk: Buffer, endStream: boolean): number {
    if (stream.remoteEnded) return errorCode.streamClosed;
    stream.receiveWindow -= chunk.length;
    if (stream.receiveWindow < 0) return errorCode.flowControlError;
    stream.remoteEnded = endStream;
    return stream.receive(chunk, endStream);
  }

  #creditConnection(): void {
    if (this.#over) return;
    const credit = this.#received.takeCredit();
    if (credit > 0) this.#port.output().windowUpdate(0, credit);
  }

  #streamError(stream: Stream, code: number): void {
    if (code === errorCode.noError || this.#streams.get(stream.id) !== stream) return;
    if (!this.#over) this.#port.output().rstStream(stream.id, code);
    stream.broken(code);
    this.#charge(code);
    this.#throwIfExceeded();
  }

  /** A stream of a client's that we had to reset for what it sent. */
  #charge(code: number): void {
    if (this.#server && blamingCodes.has(code)) this.#budget.broken();
  }

  /** Not where it is found: a stream may be in the middle of its end. */
  #throwIfExceeded(): void {
    if (this.#budget.exceeded !== undefined) throw this.#budget.exceeded;
  }

  // ---- the end

  #finishIfDone(): void {
    if (this.#over || !this.#streams.done) return;
    if (!this.#server) this.#port.output().goaway(0, errorCode.noError);
    this.#port.finished();
  }

  #fail(error: Http2ConnectionError): void {
    if (this.#over) return;
    if (error.code === errorCode.enhanceYourCalm)
      this.floodReason = error instanceof Http2FloodError ? error.reason : "header_block";
    this.#port.output().goaway(this.#streams.lastPeerId, error.code, error.message.slice(0, 200));
    this.#over = true;
    this.#port.failed(error);
  }
}
