import { contained, type Random } from "../../../base/index.ts";
import type { SharedBudget } from "../../../base/shared-budget/index.ts";
import { inLaterTurn, type ByteStream } from "../../../net/index.ts";
import {
  errorCodeName,
  Http2Session,
  type FrameWriter,
  type Http2ConnectionError,
  type SessionPort,
} from "../../../wire/http2/index.ts";
import { openCall, type CalledServer } from "./call-opening.ts";
import { CallSender } from "./call-sender.ts";
import type { CallOwner, GrpcCall, Peer } from "./grpc-call.ts";
import { grpcLimits } from "./grpc-limits.ts";
import type { GrpcStatus } from "./grpc-status.ts";
import { Retirement } from "./retirement.ts";
import type { FrameOutput } from "./frame-output.ts";
import type { ReadConnection, ReadingTurns } from "./reading-turns.ts";

export interface ConnectionOwner extends CalledServer {
  readonly output: FrameOutput;
  readonly memory: SharedBudget;
  readonly turns: ReadingTurns;
  readonly maxConnectionAgeMs: number;
  readonly random: Random;
  closed(connection: GrpcConnection, reason: string | undefined): void;
}

/** The server's end of an HTTP/2 connection whose streams are gRPC calls. {@link grpcLimits} bounds it. */
export class GrpcConnection implements SessionPort, CallOwner, ReadConnection {
  readonly peer: Peer;
  readonly session: Http2Session<GrpcCall>;
  readonly #stream: ByteStream;
  readonly #owner: ConnectionOwner;
  readonly sender: CallSender;
  waitsForTurn = false;
  #isEnded = false;
  #isClosed = false;
  #reason: string | undefined;
  #goawayGrace: Disposable | undefined;
  #closeGrace: Disposable | undefined;
  readonly #retirement: Retirement;

  constructor(owner: ConnectionOwner, stream: ByteStream, peer: Peer) {
    this.#owner = owner;
    this.#stream = stream;
    this.peer = peer;
    const nowMs = owner.clock.steadyMs();
    const { maxConnectionAgeMs: maxAgeMs, random } = owner;
    this.#retirement = new Retirement({ openedAtMs: nowMs, maxAgeMs, random, certificate: peer.certificate });
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
    this.sender = new CallSender({
      session: this.session,
      stream,
      output: owner.output,
      unread: () => this.destroy("the client does not read our answers"),
    });
  }

  start(): void {
    this.session.start();
    this.#stream.setHandler({
      data: (chunk) => this.#timed((nowMs) => this.session.receive(chunk, nowMs)),
      end: () => this.#inputEnded(),
      drain: () => this.sender.drained(),
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

  /**
   * Asks the client to open no more calls here, so that none is lost, and asks handlers to end calls that would stay
   * open. The connection ends with its last call.
   */
  drain(): void {
    if (this.#goawayGrace !== undefined || this.session.over) return;
    this.session.drain();
    this.#goawayGrace = this.#owner.clock.after(grpcLimits.goawayGraceMs, () => this.session.refuseMore());
    for (const call of this.session.streams) call.stop();
  }

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
    // While the connection waits for its turn, the client's answer to a PING may wait, too. So this time does not count
    // as silence.
    if (this.waitsForTurn) this.session.excuse(nowMs);
    for (const call of this.session.streams) call.sweep();
    const reason = this.#retirement.reason(nowMs);
    if (reason !== undefined) this.endCalls(reason.status, reason.message);
    else if (this.#retirement.isDue(nowMs)) this.drain();
    this.session.sweep(nowMs);
  }

  // ---- SessionPort

  output(): FrameWriter {
    return this.sender.writer();
  }

  isFull(): boolean {
    return this.sender.isBusy;
  }

  opened(id: number, fields: readonly string[], endStream: boolean): void {
    openCall(this, this.#owner, { id, fields, endStream });
  }

  streamEnded(): void {
    // Each call notifies its own handler.
  }

  settingsChanged(): void {
    // A server opens no streams.
  }

  peerLeaves(): void {
    // The client opens no more streams, and open streams continue.
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

  faulted(error: unknown): void {
    contained(error);
  }

  unanswered(): void {
    this.destroy(`the client did not answer a PING within ${grpcLimits.keepaliveTimeoutMs / 1000} s`);
  }

  // ---- the end

  /** Ends the connection when the client has ended its side, because HTTP/2 has no use for a half-closed connection. */
  #inputEnded(): void {
    if (this.session.activeStreams > 0) this.destroy("the client ended the connection");
    else this.#end();
  }

  #end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.sender.flush();
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
    this.sender.stop();
    this.#goawayGrace?.[Symbol.dispose]();
    this.#closeGrace?.[Symbol.dispose]();
    this.#closeCalls();
    this.#owner.closed(this, this.#reason ?? reason);
  }
}
