import { contained, transientError, type Clock } from "../../base/index.ts";
import { inLaterTurn, type ByteStream } from "../../net/index.ts";
import {
  errorCode,
  errorCodeName,
  Http2Session,
  type FrameWriter,
  type Http2ConnectionError,
  type SessionLimits,
  type SessionOptions,
  type SessionPort,
  type SessionStream,
} from "../../wire/http2/index.ts";
import { cutOffLater } from "./cut-off-later.ts";
import { heldInput, type HeldStream, type InputHolder } from "./held-input.ts";
import { TurnOutput } from "./turn-output.ts";

export interface CarrierLimits extends SessionLimits {
  /** While more output bytes than this wait for the kernel, streams must wait. */
  readonly outputHighWaterBytes: number;
  /** If more output bytes than this wait, such as answers to PING, SETTINGS and resets, the peer is disconnected. */
  readonly maxOutputBytes: number;
  /** The time between the two GOAWAYs if the peer does not answer the PING between them. */
  readonly goawayGraceMs: number;
  /** The time for the peer to close after our end, if no bytes wait for it. */
  readonly closeGraceMs: number;
  /** The time within which a peer must have read the rest of our bytes after our end. */
  readonly flushTimeoutMs: number;
}

/** The connection that uses the session. It decides what streams mean. None of the methods may throw. */
export interface CarrierUser extends Pick<
  Required<SessionPort>,
  "opened" | "streamEnded" | "settingsChanged" | "sendInPlace" | "inPlaceBytes" | "unanswered"
> {
  /**
   * Called for GOAWAY: the peer ignores our streams above `lastStreamId`. `reason` is a phrase that follows "the peer".
   */
  peerLeaves(lastStreamId: number, code: number, reason: string): void;
  /** Called when the peer violated the protocol. Our last frames are on their way. */
  failed(error: Http2ConnectionError): void;
  /** Called when the peer has ended its direction. */
  inputEnded(): void;
  /** Called once, as the last call. The user must abort its streams. */
  connectionClosed(error: Error | undefined): void;
}

export interface CarrierOptions extends Omit<SessionOptions, "limits" | "nowMs"> {
  readonly stream: ByteStream;
  readonly clock: Clock;
  readonly limits: CarrierLimits;
}

/**
 * Connects an HTTP/2 session with a byte stream of a data plane. The frames of a turn leave together, and held bytes
 * are counted. A peer that does not read is disconnected. At the end, the peer gets time to read our last frames.
 */
export class SessionCarrier<Stream extends SessionStream & HeldStream> implements SessionPort, InputHolder {
  readonly session: Http2Session<Stream>;
  readonly stream: ByteStream;
  readonly frames: TurnOutput;
  readonly #user: CarrierUser;
  readonly #server: boolean;
  readonly #clock: Clock;
  readonly #limits: CarrierLimits;
  /** The received bytes that wait for readers, and the sent bytes that wait for the peer. */
  #inputBytes = 0;
  #unsentBytes = 0;
  #isClosed = false;
  /** Whether the kernel has not accepted all of the bytes that were written in place. */
  #isBlocked = false;
  #goawayGrace: Disposable | undefined;
  #flushGrace: Disposable | undefined;
  #closeGrace: Disposable | undefined;

  constructor(user: CarrierUser, options: CarrierOptions) {
    this.#user = user;
    this.#server = options.server;
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.stream = options.stream;
    this.session = new Http2Session(this, { ...options, nowMs: options.clock.steadyMs() });
    this.frames = new TurnOutput({
      stream: options.stream,
      highWaterBytes: options.limits.outputHighWaterBytes,
      onRoom: () => this.session.wake(),
    });
  }

  /** Sends the preface and starts to read. `received` are bytes that have already arrived. */
  start(received?: Buffer): void {
    this.session.start();
    this.stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#user.inputEnded(),
      drain: () => this.#drained(),
      close: (error) => {
        this.#closeGrace?.[Symbol.dispose]();
        this.close(error);
      },
    });
    if (received !== undefined) this.#read(received);
    if (!this.#isClosed && !this.session.isDeferred) this.stream.resume();
  }

  get peer(): string {
    return this.stream.remote.address;
  }

  get heldStreams(): Iterable<Stream> {
    return this.session.streams;
  }

  /** Lets the peer leave without losing a stream. The connection ends with its last stream. */
  drain(): void {
    if (this.session.over || this.#goawayGrace !== undefined) return;
    this.session.drain();
    if (this.#server)
      this.#goawayGrace = this.#clock.after(this.#limits.goawayGraceMs, () => this.session.refuseMore());
  }

  destroy(error: Error): void {
    if (this.#isClosed) return;
    this.stream.destroy();
    this.close(error);
  }

  /**
   * Ends our side, and waits before closing. Without the wait, the kernel would answer data in flight from the peer
   * with a reset, and the peer would never read our last frames. `flushMs` is how long a slow peer may take for the
   * bytes that the kernel has not accepted yet.
   */
  end(flushMs = this.#limits.flushTimeoutMs): void {
    if (this.#closeGrace !== undefined || this.#isClosed) return;
    this.#flushGrace?.[Symbol.dispose]();
    this.session.close();
    this.frames.stop();
    this.stream.end();
    this.#closeGrace = cutOffLater(this.stream, this.#clock, { graceMs: this.#limits.closeGraceMs, flushMs });
  }

  /** Ends the use of the connection. The byte stream may close later. */
  close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.session.close();
    this.frames.stop();
    this.#goawayGrace?.[Symbol.dispose]();
    this.#flushGrace?.[Symbol.dispose]();
    this.#user.connectionClosed(error);
  }

  unsent(difference: number): void {
    this.#unsentBytes += difference;
    heldInput.changed(this, this.#inputBytes + this.#unsentBytes);
  }

  /**
   * Records a write that went directly to the byte stream, past the output of frames. `taken` says whether the kernel
   * has accepted all of its bytes.
   */
  wrote(taken: boolean): void {
    if (!taken) this.#isBlocked = true;
  }

  // ---- SessionPort

  output(): FrameWriter {
    return this.frames.writer();
  }

  isFull(): boolean {
    return this.#isBlocked || this.frames.isFull;
  }

  get inPlaceBytes(): number {
    return this.#user.inPlaceBytes;
  }

  sendInPlace(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean {
    return this.#user.sendInPlace(streamId, bytes, frameBytes, endStream);
  }

  opened(streamId: number, fields: readonly string[], endStream: boolean): void {
    this.#user.opened(streamId, fields, endStream);
  }

  streamEnded(): void {
    if (!this.#isClosed) this.#user.streamEnded();
  }

  inputHeld(bytes: number): void {
    this.#inputBytes = bytes;
    heldInput.changed(this, bytes + this.#unsentBytes);
  }

  settingsChanged(): void {
    this.#user.settingsChanged();
  }

  peerLeaves(lastStreamId: number, code: number, debug: string): void {
    const reason =
      code === errorCode.noError
        ? "is going away"
        : `ended the connection (${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`})`;
    this.#user.peerLeaves(lastStreamId, code, reason);
  }

  /** Ends the connection after the written frames. A peer that does not read them is disconnected after a time. */
  finished(): void {
    const { flushTimeoutMs } = this.#limits;
    const message = `the peer did not read our last frames within ${flushTimeoutMs / 1000} s`;
    this.#flushGrace ??= this.#clock.after(flushTimeoutMs, () => this.destroy(transientError("timeout", message)));
    this.frames.whenEmpty(() => this.end());
  }

  failed(error: Http2ConnectionError): void {
    this.frames.flush();
    this.end(0);
    this.#user.failed(error);
  }

  deferred(waitMs: number): void {
    inLaterTurn(this.stream, { clock: this.#clock, waitMs }, () => {
      this.session.proceed(this.#clock.steadyMs());
      this.#requireReader();
      return !this.session.isDeferred;
    });
  }

  sendsOn(): void {
    this.stream.pause();
  }

  faulted(error: unknown): void {
    contained(error);
  }

  unanswered(): void {
    this.#user.unanswered();
  }

  #read(chunk: Buffer): void {
    this.session.receive(chunk, this.#clock.steadyMs());
    this.#requireReader();
  }

  #drained(): void {
    this.#isBlocked = false;
    this.frames.drained();
  }

  #requireReader(): void {
    if (this.frames.length > this.#limits.maxOutputBytes)
      this.session.cutOff("unread_answers", "the peer does not read our answers");
  }
}
