import type { Clock, Random } from "../../../base/index.ts";
import type { SharedBudget } from "../../../base/shared-budget/index.ts";
import { inLaterTurn, type ByteStream } from "../../../net/index.ts";
import {
  errorCode,
  errorCodeName,
  hpackEncode,
  Http2Session,
  type FrameWriter,
  type Http2ConnectionError,
  type SessionPort,
} from "../../../wire/http2/index.ts";
import { acceptedEncodings, decompressionOf } from "./decompress.ts";
import { GrpcCall, prefixBytes, type CallOwner, type Peer } from "./grpc-call.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus, statusMessage, type GrpcStatus } from "./grpc-status.ts";
import { isGrpc, readRequestHead, requestFault } from "./request-head.ts";
import type { OutputOwner, FrameOutput } from "./frame-output.ts";
import type { ReadConnection, ReadingTurns } from "./reading-turns.ts";

/** The part of a server that its connections use. */
export interface ConnectionOwner {
  readonly output: FrameOutput;
  readonly clock: Clock;
  readonly maxRequestBytes: number;
  readonly memory: SharedBudget;
  readonly turns: ReadingTurns;
  readonly maxConnectionAgeMs: number;
  readonly random: Random;
  method(path: string): ((call: GrpcCall) => void) | undefined;
  closed(connection: GrpcConnection, reason: string | undefined): void;
}

/** The part of a connection's maximum age by which it may differ, as in gRPC. */
const ageSpread = 0.1;
const contentType = "application/grpc+proto";
const encodingFields = ["grpc-accept-encoding", acceptedEncodings];
const responseHead = hpackEncode([":status", "200", "content-type", contentType, ...encodingFields]);

/** The server's end of an HTTP/2 connection whose streams are gRPC calls, bounded by {@link grpcLimits}. */
export class GrpcConnection implements SessionPort, CallOwner, OutputOwner, ReadConnection {
  readonly peer: Peer;
  readonly session: Http2Session<GrpcCall>;
  readonly #stream: ByteStream;
  readonly #owner: ConnectionOwner;
  readonly #output: FrameOutput;
  readonly #prefix = Buffer.alloc(prefixBytes);
  /** Whether the kernel accepts no more bytes for now. */
  #isBusy = false;
  /** Whether the last write did not finish at once. Over TLS, no write does. */
  #waitsForKernel = false;
  waitsForTurn = false;
  #isEnded = false;
  #isClosed = false;
  #reason: string | undefined;
  #goawayGrace: Disposable | undefined;
  #closeGrace: Disposable | undefined;
  /** When its clients must connect anew. Connections that began together end at different times. */
  readonly #retiresAtMs: number;

  constructor(owner: ConnectionOwner, stream: ByteStream, peer: Peer) {
    this.#owner = owner;
    this.#output = owner.output;
    this.#stream = stream;
    this.peer = peer;
    const nowMs = owner.clock.steadyMs();
    this.#retiresAtMs = nowMs + owner.maxConnectionAgeMs * (1 + ageSpread * (2 * owner.random() - 1));
    this.session = new Http2Session(this, {
      server: true,
      limits: grpcLimits,
      streamsName: "calls",
      nowMs,
      maxStreams: grpcLimits.maxStreams,
      maxHeaderListBytes: grpcLimits.maxHeaderListBytes,
      maxReadHeaderBytes: grpcLimits.maxHeaderListBytes,
      pingIntervalMs: grpcLimits.keepaliveMs,
      pingTimeoutMs: grpcLimits.keepaliveTimeoutMs,
      pingsWhenIdle: true,
    });
  }

  start(): void {
    this.session.start();
    this.#stream.setHandler({
      data: (chunk) => this.#timed((nowMs) => this.session.receive(chunk, nowMs)),
      end: () => this.#inputEnded(),
      drain: () => this.#drained(),
      close: (error) => this.#close(error?.message),
    });
    if (!this.waitsForTurn) this.#stream.resume();
  }

  pauseReading(): void {
    this.waitsForTurn = true;
    this.#stream.pause();
  }

  resumeReading(): void {
    this.waitsForTurn = false;
    if (!this.session.over && !this.session.isDeferred) this.#stream.resume();
  }

  #timed(read: (nowMs: number) => void): void {
    const { clock, turns } = this.#owner;
    const nowMs = clock.steadyMs();
    read(nowMs);
    const endMs = clock.steadyMs();
    turns.spent(this, endMs - nowMs, endMs);
  }

  get memory(): SharedBudget {
    return this.#owner.memory;
  }

  get calls(): Iterable<GrpcCall> {
    return this.session.streams;
  }

  /** Lets the peer go without losing a call. The connection ends with its last call. */
  drain(): void {
    if (this.#goawayGrace !== undefined || this.session.over) return;
    this.session.drain();
    this.#goawayGrace = this.#owner.clock.after(grpcLimits.goawayGraceMs, () => this.session.refuseMore());
    for (const call of this.session.streams) call.stop();
  }

  /** Ends all calls, and then the connection. */
  endCalls(status: GrpcStatus, message: string): void {
    this.drain();
    this.session.refuseMore();
    for (const call of this.session.streams) call.end(status, message);
    this.#end();
  }

  destroy(reason?: string): void {
    if (this.#isClosed) return;
    this.#stream.destroy();
    this.#close(reason);
  }

  /** Enforces the time limits. The server calls this once a second. */
  sweep(nowMs: number): void {
    if (this.session.over) return;
    // The client's answer to a PING may wait for its turn too.
    if (this.waitsForTurn) this.session.excuse(nowMs);
    for (const call of this.session.streams) this.#sweepCall(call);
    this.#retire(nowMs);
    this.session.sweep(nowMs);
  }

  /** Ends a connection whose client must prove its identity anew. */
  #retire(nowMs: number): void {
    const { certificate } = this.peer;
    const fault = certificate?.isUsed === true ? certificate.fault() : undefined;
    if (fault !== undefined)
      this.endCalls(grpcStatus.unauthenticated, `the client certificate is no longer accepted: ${fault}`);
    else if (nowMs >= this.#retiresAtMs + grpcLimits.ageGraceMs)
      this.endCalls(grpcStatus.unavailable, "the connection has reached its maximum age");
    else if (nowMs >= this.#retiresAtMs) this.drain();
  }

  /** A client that does not read an ended call must not keep the call or its bytes alive. */
  #sweepCall(call: GrpcCall): void {
    if (call.ending === undefined) return;
    call.endSweeps += 1;
    if (call.endSweeps * 1000 <= grpcLimits.endTimeoutMs) return;
    this.session.reset(call, errorCode.cancel);
    call.close();
  }

  // ---- CallOwner

  sendMessage(call: GrpcCall, parts: readonly Buffer[], length: number): boolean {
    const { session } = this;
    if (session.over) return false;
    if (!call.answered) session.sendBlock(call, responseHead, false);
    const total = length + prefixBytes;
    this.#prefix.writeUInt32BE(length, 1);
    if (call.pendingBytes > 0 || this.#isBusy || total > session.room(call)) {
      call.enqueue(Buffer.from(this.#prefix), parts);
      return this.pump(call);
    }
    const writer = this.#output.claim(this);
    writer.dataHead(call.id, total, false);
    writer.raw(this.#prefix);
    for (const part of parts) this.#output.part(part);
    this.#sentData(call, total);
    return !session.congested(call);
  }

  sendEnd(call: GrpcCall): void {
    if (call.pendingBytes > 0) return;
    const { status, message } = call.ending ?? { status: grpcStatus.ok, message: "" };
    const fields = ["grpc-status", String(status), ...(message === "" ? [] : ["grpc-message", statusMessage(message)])];
    const alone = call.answered
      ? fields
      : [":status", "200", "content-type", contentType, ...encodingFields, ...fields];
    this.#sendLast(call, alone);
  }

  pump(call: GrpcCall): boolean {
    while (call.pendingBytes > 0) {
      const length = Math.min(call.pendingBytes, this.session.reserve(call));
      if (length <= 0) return false;
      this.#output.claim(this).dataHead(call.id, length, false);
      call.putPending(this.#output, length);
      this.#sentData(call, length);
    }
    return !this.session.congested(call);
  }

  // ---- SessionPort

  output(): FrameWriter {
    return this.#output.claim(this);
  }

  isFull(): boolean {
    return this.#isBusy;
  }

  opened(id: number, fields: readonly string[], endStream: boolean): void {
    if (requestFault(fields) !== undefined) {
      this.session.refuse(id, errorCode.protocolError);
      return;
    }
    const head = readRequestHead(fields);
    const { maxRequestBytes, clock } = this.#owner;
    const decompress = decompressionOf(head.encoding, maxRequestBytes);
    const call = new GrpcCall(this, {
      id,
      fields,
      head,
      maxRequestBytes,
      decompress: decompress === "none" ? undefined : decompress,
    });
    call.remoteEnded = endStream;
    this.session.adopt(call);
    if (!call.countOrEnd()) return;
    if (head.method !== "POST" || !isGrpc(head.contentType)) {
      this.#sendLast(call, [":status", head.method === "POST" ? "415" : "405"]);
      return;
    }
    const method = this.#owner.method(head.path);
    if (method === undefined) call.end(grpcStatus.unimplemented, `the server does not have the method ${head.path}`);
    else if (decompress === undefined)
      call.end(grpcStatus.unimplemented, `requests may be compressed by ${acceptedEncodings}, not by ${head.encoding}`);
    else if (Number.isNaN(head.timeoutMs))
      call.end(grpcStatus.internal, "grpc-timeout must be 1 to 8 digits, followed by one of H, M, S, m, u, n");
    else {
      if (head.timeoutMs !== undefined)
        call.deadline = clock.after(head.timeoutMs, () =>
          call.end(grpcStatus.deadlineExceeded, "the call's deadline has passed"),
        );
      method(call);
    }
  }

  streamEnded(): void {
    // Nothing to do here: each call notifies its own handler.
  }

  settingsChanged(): void {
    // Nothing to do: a server opens no streams.
  }

  peerLeaves(): void {
    // Nothing to do: the client opens no more streams, and open streams continue.
  }

  finished(): void {
    this.#end();
  }

  failed({ code, message }: Http2ConnectionError): void {
    this.#reason = `${errorCodeName(code)}: ${message}`;
    this.#end();
    this.#closeCalls();
  }

  deferred(waitMs: number): void {
    inLaterTurn(this.#stream, { clock: this.#owner.clock, waitMs }, () => {
      this.#timed((nowMs) => this.session.proceed(nowMs));
      return !this.session.isDeferred && !this.waitsForTurn;
    });
  }

  sendsOn(): void {
    this.#stream.pause();
  }

  unanswered(): void {
    this.destroy(`the client did not answer a PING within ${grpcLimits.keepaliveTimeoutMs / 1000} s`);
  }

  // ---- output

  /** Sends the frames of this turn. */
  flush(): void {
    if (this.#isClosed) return;
    if (!this.#output.writeTo(this.#stream, this, this.#waitsForKernel)) this.#isBusy = true;
    this.#waitsForKernel = this.#stream.bufferedBytes > 0;
    const limit = grpcLimits.maxBufferedControlBytes + grpcLimits.outputHighWaterBytes;
    if (this.#isBusy && this.#stream.bufferedBytes > limit) this.destroy("the client does not read our answers");
  }

  #sentData(call: GrpcCall, length: number): void {
    this.session.spend(call, length);
    if (this.#output.length >= grpcLimits.outputHighWaterBytes) this.flush();
  }

  /**
   * Sends a header block that ends our side. A client that is still sending gets a reset, because its bytes will not be
   * read.
   */
  #sendLast(call: GrpcCall, fields: readonly string[]): void {
    this.session.sendHeaders(call, fields, true);
    if (!call.remoteEnded) this.session.reset(call, errorCode.noError);
    call.close();
  }

  #drained(): void {
    this.#isBusy = false;
    this.session.wake();
  }

  // ---- the end

  /** A half-closed connection is useless in HTTP/2. */
  #inputEnded(): void {
    if (this.session.activeStreams > 0) this.destroy("the client ended the connection");
    else this.#end();
  }

  #end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.flush();
    if (this.#isClosed) return;
    this.#isEnded = true;
    this.session.close();
    this.#stream.end();
    this.#closeGrace = this.#owner.clock.after(grpcLimits.closeGraceMs, () => this.destroy());
  }

  #closeCalls(): void {
    for (const call of this.session.streams) call.close();
  }

  #close(reason: string | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.session.close();
    this.#output.drop(this);
    this.#goawayGrace?.[Symbol.dispose]();
    this.#closeGrace?.[Symbol.dispose]();
    this.#closeCalls();
    this.#owner.closed(this, this.#reason ?? reason);
  }
}
