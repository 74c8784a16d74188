import { messageOf, type Clock } from "../../../base/index.ts";
import type { ByteStream } from "../../../net/index.ts";
import {
  defaultMaxFrameSize,
  defaultWindow,
  errorCode,
  errorCodeName,
  FrameReader,
  hpackEncode,
  Http2ConnectionError,
  maxStreamId,
  maxWindow,
  setting,
  type FrameHandler,
} from "../../../wire/http2/index.ts";
import { acceptedEncodings, decompressionOf } from "./decompress.ts";
import { GrpcCall, prefixBytes, type CallOwner, type Peer } from "./grpc-call.ts";
import { framesEarned, grpcLimits } from "./grpc-limits.ts";
import { grpcStatus, statusMessage, type GrpcStatus } from "./grpc-status.ts";
import { isGrpc, readRequestHead, requestFault, trailersFault } from "./request-head.ts";
import type { OutputOwner, FrameOutput } from "./frame-output.ts";

/** What a connection needs of its server. */
export interface ConnectionOwner {
  readonly output: FrameOutput;
  readonly clock: Clock;
  readonly maxRequestBytes: number;
  method(path: string): ((call: GrpcCall) => void) | undefined;
  closed(connection: GrpcConnection, reason: string | undefined): void;
}

const goawayPing = Buffer.from("goaway!!", "latin1");
const lifePing = Buffer.from("alive???", "latin1");
const contentType = "application/grpc+proto";
const encodingFields = ["grpc-accept-encoding", acceptedEncodings];
const responseHead = hpackEncode([":status", "200", "content-type", contentType, ...encodingFields]);
/** Tells the peer's decoder that our encoder uses no table, after it asked for a smaller one (RFC 7541, 4.2). */
const emptyTableUpdate = Buffer.from([0x20]);
const defaultHeaderTableBytes = 4096;

/** The server's end of an HTTP/2 connection (RFC 9113) whose streams are gRPC calls, with the bounds of {@link grpcLimits}. */
export class GrpcConnection implements FrameHandler, CallOwner, OutputOwner {
  readonly peer: Peer;
  readonly #stream: ByteStream;
  readonly #owner: ConnectionOwner;
  readonly #output: FrameOutput;
  readonly #reader: FrameReader;
  readonly #calls = new Map<number, GrpcCall>();
  /** Calls that wait for windows or the kernel, in the order in which they began to. */
  readonly #waiting = new Set<GrpcCall>();
  readonly #prefix = Buffer.alloc(prefixBytes);
  #lastId = 0;
  /** Streams above it were told that we will not look at them. */
  #lastAcceptedId: number = maxStreamId;
  #sendWindow = defaultWindow;
  #receiveWindow: number = grpcLimits.connectionWindowBytes;
  #uncredited = 0;
  #peerStreamWindow = defaultWindow;
  #peerFrameBytes = defaultMaxFrameSize;
  #peerDecoderShrunk = false;
  #idleFrames = 0;
  #resets = 0;
  /** The kernel takes no more for now. */
  #busy = false;
  /** The last write was not done at once; over TLS none is. */
  #waitsForKernel = false;
  #draining = false;
  #ended = false;
  #closed = false;
  #reason: string | undefined;
  #heardAtMs: number;
  #pingSentAtMs = -1;
  #goawayGrace: Disposable | undefined;
  #closeGrace: Disposable | undefined;

  constructor(owner: ConnectionOwner, stream: ByteStream, peer: Peer) {
    this.#owner = owner;
    this.#output = owner.output;
    this.#stream = stream;
    this.peer = peer;
    this.#heardAtMs = owner.clock.steadyMs();
    this.#reader = new FrameReader(this, {
      maxFrameSize: grpcLimits.maxFrameBytes,
      expectPreface: true,
      maxHeaderListBytes: grpcLimits.maxHeaderListBytes,
      maxHeaderBlockBytes: grpcLimits.maxHeaderListBytes,
    });
  }

  start(): void {
    const writer = this.#output.claim(this);
    writer.settings([
      [setting.maxConcurrentStreams, grpcLimits.maxStreams],
      [setting.initialWindowSize, grpcLimits.streamWindowBytes],
      [setting.maxHeaderListSize, grpcLimits.maxHeaderListBytes],
    ]);
    writer.windowUpdate(0, grpcLimits.connectionWindowBytes - defaultWindow);
    this.#stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#inputEnded(),
      drain: () => this.#drained(),
      close: (error) => this.#close(error?.message),
    });
    this.#stream.resume();
  }

  get calls(): Iterable<GrpcCall> {
    return this.#calls.values();
  }

  /**
   * Lets the peer go without losing a call: a GOAWAY that takes all streams, and when the peer has seen it, one that names
   * the last. The connection ends with its last call.
   */
  drain(): void {
    if (this.#draining || this.#isOver) return;
    this.#draining = true;
    const writer = this.#output.claim(this);
    writer.goaway(maxStreamId, errorCode.noError);
    writer.ping(goawayPing, false);
    this.#goawayGrace = this.#owner.clock.after(grpcLimits.goawayGraceMs, () => this.#refuseMore());
  }

  /** Ends all calls, and the connection after them. */
  endCalls(status: GrpcStatus, message: string): void {
    this.drain();
    this.#refuseMore();
    for (const call of this.#calls.values()) call.end(status, message);
    this.#end();
  }

  destroy(reason?: string): void {
    if (this.#closed) return;
    this.#stream.destroy();
    this.#close(reason);
  }

  /** To be called once a second. */
  sweep(nowMs: number): void {
    this.#idleFrames = 0;
    this.#resets = 0;
    if (this.#isOver) return;
    for (const call of this.#calls.values()) this.#sweepCall(call);
    if (this.#pingSentAtMs > this.#heardAtMs) {
      if (nowMs - this.#pingSentAtMs >= grpcLimits.keepaliveTimeoutMs)
        this.destroy(`the client did not answer a PING within ${grpcLimits.keepaliveTimeoutMs / 1000} s`);
    } else if (nowMs - this.#heardAtMs >= grpcLimits.keepaliveMs) {
      this.#pingSentAtMs = nowMs;
      this.#output.claim(this).ping(lifePing, false);
    }
  }

  /** A client that takes nothing more of a call that has ended keeps neither the call nor its bytes. */
  #sweepCall(call: GrpcCall): void {
    if (call.ending === undefined) return;
    call.endSweeps += 1;
    if (call.endSweeps * 1000 > grpcLimits.endTimeoutMs) this.#reset(call, errorCode.cancel);
  }

  // ---- CallOwner

  sendMessage(call: GrpcCall, parts: readonly Buffer[], length: number): boolean {
    if (this.#isOver) return false;
    const writer = this.#output.claim(this);
    if (!call.hasSentHead) {
      call.hasSentHead = true;
      writer.headers(call.id, this.#block(responseHead), false, this.#peerFrameBytes);
    }
    const total = length + prefixBytes;
    this.#prefix.writeUInt32BE(length, 1);
    if (
      call.pendingBytes > 0 ||
      this.#busy ||
      total > Math.min(call.sendWindow, this.#sendWindow, this.#peerFrameBytes)
    ) {
      call.enqueue(Buffer.from(this.#prefix), parts);
      return this.#pump(call);
    }
    writer.dataHead(call.id, total, false);
    writer.raw(this.#prefix);
    for (const part of parts) this.#output.part(part);
    this.#sentData(call, total);
    if (!this.#busy) return true;
    this.#waiting.add(call);
    return false;
  }

  sendEnd(call: GrpcCall): void {
    if (call.pendingBytes > 0) return;
    const { status, message } = call.ending ?? { status: grpcStatus.ok, message: "" };
    const fields = ["grpc-status", String(status), ...(message === "" ? [] : ["grpc-message", statusMessage(message)])];
    const alone = call.hasSentHead
      ? fields
      : [":status", "200", "content-type", contentType, ...encodingFields, ...fields];
    this.#sendLast(call, alone);
  }

  consumed(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < grpcLimits.connectionWindowBytes / 2 || this.#isOver) return;
    this.#output.claim(this).windowUpdate(0, this.#uncredited);
    this.#receiveWindow += this.#uncredited;
    this.#uncredited = 0;
  }

  openStreamWindow(call: GrpcCall, bytes: number): void {
    if (!this.#isOver && !call.isClosed) this.#output.claim(this).windowUpdate(call.id, bytes);
  }

  // ---- FrameHandler

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.#received(chunk.length);
    if (chunk.length > 0) this.#earn();
    else if (!endStream) this.#idleFrame();
    const call = this.#calls.get(streamId);
    if (call !== undefined) {
      this.#streamError(call, call.receive(chunk, endStream));
      return;
    }
    this.#refuseUnopened(streamId, "DATA");
    this.consumed(chunk.length);
  }

  padding(streamId: number, length: number): void {
    this.#received(length);
    this.#idleFrame();
    const call = this.#calls.get(streamId);
    if (call === undefined) this.consumed(length);
    else this.#streamError(call, call.receivePadding(length));
  }

  headers(streamId: number, fields: string[], endStream: boolean): void {
    const known = this.#calls.get(streamId);
    if (known !== undefined) {
      if (known.remoteEnded) this.#reset(known, errorCode.streamClosed);
      else if (!endStream || trailersFault(fields) !== undefined) this.#reset(known, errorCode.protocolError);
      else known.receiveTrailers();
      return;
    }
    if (streamId % 2 === 0)
      throw new Http2ConnectionError(errorCode.protocolError, `HEADERS on stream ${streamId}, which is no client's`);
    if (streamId <= this.#lastId || streamId > this.#lastAcceptedId) {
      // Trailers of a call that we have ended, or one that came after our GOAWAY.
      this.#idleFrame();
      return;
    }
    this.#lastId = streamId;
    if (this.#calls.size >= grpcLimits.maxStreams) {
      this.#idleFrame();
      this.#output.claim(this).rstStream(streamId, errorCode.refusedStream);
      return;
    }
    this.#earn();
    this.#open(streamId, fields, endStream);
  }

  rstStream(streamId: number, _code: number): void {
    const call = this.#calls.get(streamId);
    if (call === undefined) this.#refuseUnopened(streamId, "RST_STREAM");
    else this.#forget(call);
    this.#resets += 1;
    if (this.#resets > grpcLimits.maxResetsPerSecond)
      throw new Http2ConnectionError(errorCode.enhanceYourCalm, "too many calls that were taken back");
  }

  settings(values: ReadonlyMap<number, number>): void {
    this.#idleFrame();
    const window = values.get(setting.initialWindowSize);
    if (window !== undefined) {
      for (const call of this.#calls.values()) {
        call.sendWindow += window - this.#peerStreamWindow;
        if (call.sendWindow > maxWindow)
          throw new Http2ConnectionError(errorCode.flowControlError, "SETTINGS opens a stream's window above 2^31-1");
      }
      this.#peerStreamWindow = window;
    }
    this.#peerFrameBytes = Math.min(
      values.get(setting.maxFrameSize) ?? this.#peerFrameBytes,
      grpcLimits.maxSentFrameBytes,
    );
    if ((values.get(setting.headerTableSize) ?? defaultHeaderTableBytes) < defaultHeaderTableBytes)
      this.#peerDecoderShrunk = true;
    this.#output.claim(this).settingsAck();
    this.#pumpWaiting();
  }

  settingsAck(): void {
    this.#idleFrame();
  }

  ignored(): void {
    this.#idleFrame();
  }

  ping(opaque: Buffer): void {
    this.#idleFrame();
    this.#output.claim(this).ping(opaque, true);
  }

  pingAck(opaque: Buffer): void {
    this.#idleFrame();
    if (opaque.equals(goawayPing)) this.#refuseMore();
  }

  /** The client opens no more streams; what it has goes on. */
  goaway(): void {
    this.#idleFrame();
  }

  windowUpdate(streamId: number, increment: number): void {
    if (this.#waiting.size === 0) this.#idleFrame();
    if (streamId === 0) {
      this.#sendWindow += increment;
      if (this.#sendWindow > maxWindow)
        throw new Http2ConnectionError(errorCode.flowControlError, "the connection's window is above 2^31-1");
      this.#pumpWaiting();
      return;
    }
    const call = this.#calls.get(streamId);
    if (call === undefined) {
      this.#refuseUnopened(streamId, "WINDOW_UPDATE");
      return;
    }
    call.sendWindow += increment;
    if (call.sendWindow > maxWindow) this.#reset(call, errorCode.flowControlError);
    else if (this.#waiting.has(call)) this.#pumpOne(call);
  }

  // ---- calls

  #open(id: number, fields: readonly string[], endStream: boolean): void {
    if (requestFault(fields) !== undefined) {
      this.#output.claim(this).rstStream(id, errorCode.protocolError);
      return;
    }
    const head = readRequestHead(fields);
    const decompress = decompressionOf(head.encoding, this.#owner.maxRequestBytes);
    const call = new GrpcCall(this, {
      id,
      fields,
      head,
      sendWindow: this.#peerStreamWindow,
      maxRequestBytes: this.#owner.maxRequestBytes,
      decompress: decompress === "none" ? undefined : decompress,
    });
    call.remoteEnded = endStream;
    this.#calls.set(id, call);
    if (head.method !== "POST" || !isGrpc(head.contentType)) {
      this.#sendLast(call, [":status", head.method === "POST" ? "415" : "405"]);
      return;
    }
    const method = this.#owner.method(head.path);
    if (method === undefined) call.end(grpcStatus.unimplemented, `the server does not have the method ${head.path}`);
    else if (decompress === undefined)
      call.end(grpcStatus.unimplemented, `requests may be compressed by ${acceptedEncodings}, not by ${head.encoding}`);
    else if (Number.isNaN(head.timeoutMs))
      call.end(grpcStatus.internal, "grpc-timeout must be up to 8 digits and one of H, M, S, m, u, n");
    else {
      if (head.timeoutMs !== undefined)
        call.deadline = this.#owner.clock.after(head.timeoutMs, () =>
          call.end(grpcStatus.deadlineExceeded, "the call's time is over"),
        );
      method(call);
    }
  }

  /** A header block that ends our side; a client that has more to say is told that nobody will listen. */
  #sendLast(call: GrpcCall, fields: readonly string[]): void {
    if (!this.#isOver) {
      const writer = this.#output.claim(this);
      writer.headers(call.id, this.#block(hpackEncode(fields)), true, this.#peerFrameBytes);
      if (!call.remoteEnded) writer.rstStream(call.id, errorCode.noError);
    }
    this.#forget(call);
  }

  #reset(call: GrpcCall, code: number): void {
    this.#output.claim(this).rstStream(call.id, code);
    this.#forget(call);
  }

  #forget(call: GrpcCall): void {
    this.#calls.delete(call.id);
    this.#waiting.delete(call);
    call.close();
    this.#endWhenIdle();
  }

  #block(block: Buffer): Buffer {
    if (!this.#peerDecoderShrunk) return block;
    this.#peerDecoderShrunk = false;
    return Buffer.concat([emptyTableUpdate, block]);
  }

  #streamError(call: GrpcCall, code: number): void {
    if (code !== errorCode.noError && !call.isClosed) this.#reset(call, code);
  }

  // ---- output

  /** Sends what the turn has put together. */
  flush(): void {
    if (this.#closed) return;
    if (!this.#output.writeTo(this.#stream, this, this.#waitsForKernel)) this.#busy = true;
    this.#waitsForKernel = this.#stream.bufferedBytes > 0;
    if (this.#busy && this.#stream.bufferedBytes > grpcLimits.maxBufferedControlBytes + grpcLimits.outputHighWaterBytes)
      this.destroy("the client does not read our answers");
  }

  /** Frames what waits of a call as far as windows and the kernel allow; false when it has to wait. */
  #pump(call: GrpcCall): boolean {
    while (call.pendingBytes > 0 && !this.#busy) {
      const length = Math.min(call.pendingBytes, call.sendWindow, this.#sendWindow, this.#peerFrameBytes);
      if (length <= 0) break;
      this.#output.claim(this).dataHead(call.id, length, false);
      call.putPending(this.#output, length);
      this.#sentData(call, length);
    }
    if (call.pendingBytes > 0 || this.#busy) {
      this.#waiting.add(call);
      return false;
    }
    this.#waiting.delete(call);
    return true;
  }

  #pumpOne(call: GrpcCall): void {
    if (!this.#pump(call)) return;
    if (call.ending === undefined) call.drained();
    else this.sendEnd(call);
  }

  #pumpWaiting(): void {
    if (this.#waiting.size > 0 && !this.#isOver) for (const call of this.#waiting) this.#pumpOne(call);
  }

  #sentData(call: GrpcCall, length: number): void {
    call.sendWindow -= length;
    this.#sendWindow -= length;
    this.#earn();
    if (this.#output.length >= grpcLimits.outputHighWaterBytes) this.flush();
  }

  #drained(): void {
    this.#busy = false;
    this.#pumpWaiting();
  }

  // ---- input

  #read(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#heardAtMs = this.#owner.clock.steadyMs();
    try {
      this.#reader.push(chunk);
    } catch (error) {
      if (!this.#isOver)
        this.#fail(error instanceof Http2ConnectionError ? error.code : errorCode.internalError, messageOf(error));
    }
  }

  #received(bytes: number): void {
    this.#receiveWindow -= bytes;
    if (this.#receiveWindow < 0)
      throw new Http2ConnectionError(errorCode.flowControlError, "the client sent more than the connection's window");
  }

  /** Frames that move something on allow some that do not. */
  #earn(): void {
    this.#idleFrames -= framesEarned;
  }

  #idleFrame(): void {
    this.#idleFrames += 1;
    if (this.#idleFrames > grpcLimits.maxIdleFramesPerSecond)
      throw new Http2ConnectionError(errorCode.enhanceYourCalm, "too many frames that move nothing on");
  }

  #refuseUnopened(streamId: number, frame: string): void {
    if (streamId > this.#lastId || streamId % 2 === 0)
      throw new Http2ConnectionError(errorCode.protocolError, `${frame} on stream ${streamId}, which was never opened`);
  }

  // ---- the end

  get #isOver(): boolean {
    return this.#closed || this.#ended;
  }

  /** A half-closed connection has no use in HTTP/2. */
  #inputEnded(): void {
    if (this.#calls.size > 0) this.destroy("the client ended the connection");
    else this.#end();
  }

  /** Ends by GOAWAY: the client broke a rule. */
  #fail(code: number, message: string): void {
    this.#reason = `${errorCodeName(code)}: ${message}`;
    this.#output.claim(this).goaway(this.#lastId, code, message.slice(0, 200));
    this.#end();
    for (const call of this.#calls.values()) this.#forget(call);
  }

  #refuseMore(): void {
    if (!this.#draining || this.#lastAcceptedId !== maxStreamId || this.#isOver) return;
    this.#goawayGrace?.[Symbol.dispose]();
    this.#lastAcceptedId = this.#lastId;
    this.#output.claim(this).goaway(this.#lastId, errorCode.noError);
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (this.#lastAcceptedId !== maxStreamId && this.#calls.size === 0) this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.flush();
    if (this.#isOver) return;
    this.#ended = true;
    this.#stream.end();
    this.#closeGrace = this.#owner.clock.after(grpcLimits.closeGraceMs, () => this.destroy());
  }

  #close(reason: string | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#output.drop(this);
    this.#goawayGrace?.[Symbol.dispose]();
    this.#closeGrace?.[Symbol.dispose]();
    for (const call of this.#calls.values()) this.#forget(call);
    this.#owner.closed(this, this.#reason ?? reason);
  }
}
