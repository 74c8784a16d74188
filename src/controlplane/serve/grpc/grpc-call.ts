import { toSerinError, transientError, type Clock, type SerinError } from "../../../base/index.ts";
import type { BudgetShare, SharedBudget } from "../../../base/shared-budget/index.ts";
import { ChunkQueue } from "../../../net/index.ts";
import { errorCode, SessionStream, trailersFault, type Http2Session } from "../../../wire/http2/index.ts";
import type { ClientCertificate } from "./client-certificate.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";
import { MessageDecoder, type Decompress } from "./message-decoder.ts";
import { fieldValues, type RequestHead } from "./request-head.ts";
import type { FrameOutput } from "./frame-output.ts";

export interface Peer {
  readonly address: string;
  readonly port: number;
  /** The client's certificate, if its chain was trusted at the handshake. */
  readonly certificate: ClientCertificate | undefined;
}

export interface CallHandler {
  /** Receives a request. The bytes are valid only during this method. */
  message(bytes: Buffer): void;
  ended(): void;
  /** Called when more may be written, after a write has returned false. */
  drained(): void;
  /**
   * Called when the server stops. If the call would not end by itself, the handler must end it. The client then finds
   * another server.
   */
  stopping?(): void;
  /** Called if the client sent something that is not a request. The handler must end the call. */
  failed(error: SerinError): void;
  /**
   * Called last: the client has cancelled or is disconnected, the deadline has passed, or the handler has ended the
   * call.
   */
  closed(): void;
}

export interface CallOutput {
  /**
   * Writes as much of a message into frames as the windows and the output allow. Returns false if something must wait.
   */
  sendMessage(call: GrpcCall, parts: readonly Buffer[], length: number): boolean;
  /** Sends the call's trailers after everything that waits. */
  sendEnd(call: GrpcCall): void;
  /**
   * Writes the waiting data of a call into frames, as far as the windows and the kernel allow. Returns false if some
   * must still wait.
   */
  pump(call: GrpcCall): boolean;
}

export interface CallOwner {
  readonly peer: Peer;
  readonly session: Http2Session<GrpcCall>;
  /** The memory for heads and incomplete requests of all connections. The addresses of the clients share it. */
  readonly memory: SharedBudget;
  /** Whether the connection is not read now, because it is the turn of other addresses. */
  readonly waitsForTurn: boolean;
  readonly sender: CallOutput;
}

/** The length of a message's prefix: whether the message is compressed, and its length. */
export const prefixBytes = 5;
/** The memory of a header besides its characters, as HPACK counts it. */
const bytesOfField = 32;
const nobody: CallHandler = { message() {}, ended() {}, drained() {}, failed() {}, closed() {} };

/** One call, which is a stream of its connection. Until a handler starts, requests wait within the call's window. */
export class GrpcCall extends SessionStream {
  readonly head: RequestHead;
  readonly #owner: CallOwner;
  readonly #fields: readonly string[];
  readonly #headBytes: number;
  readonly #decoder: MessageDecoder;
  readonly #message = (bytes: Buffer): void => {
    if (!this.#isOver) this.#handler.message(bytes);
  };
  #handler = nobody;
  #isStarted = false;
  readonly #held = new ChunkQueue();
  #heldBytes = 0;
  #requestBytes = 0;
  readonly #kept: BudgetShare;
  /**
   * Messages that wait for windows or the kernel, as parts that other calls share. The first `#sent` bytes of the first
   * part are sent.
   */
  #pending: Buffer[] = [];
  #sent = 0;
  #hasReportedEnd = false;
  #isOver = false;
  pendingBytes = 0;
  /** The content of the trailers, which are sent after the messages. */
  ending: { readonly status: GrpcStatus; readonly message: string } | undefined;
  /** Whether our side has ended, or the stream is gone. */
  isClosed = false;
  #endSweeps = 0;
  deadline: Disposable | undefined;

  constructor(
    owner: CallOwner,
    options: {
      readonly id: number;
      readonly fields: readonly string[];
      readonly head: RequestHead;
      readonly maxRequestBytes: number;
      readonly decompress: Decompress | undefined;
    },
  ) {
    super(options.id);
    this.#owner = owner;
    this.#kept = owner.memory.share(owner.peer.address);
    this.head = options.head;
    this.#fields = options.fields;
    this.#headBytes = options.fields.reduce(
      (sum, text) => sum + text.length,
      (options.fields.length / 2) * bytesOfField,
    );
    this.#decoder = new MessageDecoder(options.maxRequestBytes, options.decompress);
  }

  get path(): string {
    return this.head.path;
  }

  /**
   * Calls `run` if the client has not sent what it must within this time, unless the result is disposed of. Time in
   * which the client's connection is not read does not count.
   */
  afterSilence(clock: Clock, ms: number, run: () => void): Disposable {
    const listen = (): Disposable =>
      clock.after(ms, () => {
        if (this.#owner.waitsForTurn) timer = listen();
        else run();
      });
    let timer = listen();
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  get peer(): Peer {
    return this.#owner.peer;
  }

  header(name: string): readonly string[] {
    return fieldValues(this.#fields, name);
  }

  /** Sets the handler, and passes it what has arrived so far. Must be called only once. */
  start(handler: CallHandler): void {
    if (this.#isOver) {
      handler.closed();
      return;
    }
    this.#handler = handler;
    this.#isStarted = true;
    for (let chunk = this.#held.shift(); chunk !== undefined; chunk = this.#held.shift()) {
      this.#owner.session.queuedBytesChanged(-chunk.bytes.length);
      this.#heldBytes -= chunk.bytes.length;
      this.#take(chunk.bytes);
      chunk.release();
    }
    if (this.remoteEnded) this.#reportEnd();
  }

  /**
   * Counts the bytes of a request that the handler keeps until the call ends. Throws if all calls of this client
   * together keep too much memory.
   */
  keepRequest(bytes: number): void {
    this.#requestBytes = bytes;
    this.#count();
  }

  /**
   * Sends one message that consists of these parts, whose bytes must not change afterwards. If this returns false, the
   * caller must wait for `drained`.
   */
  write(parts: readonly Buffer[]): boolean {
    if (this.isClosed || this.ending !== undefined) return false;
    let length = 0;
    for (const part of parts) length += part.length;
    return this.#owner.sender.sendMessage(this, parts, length);
  }

  /** Ends the call after what was written. After that, the handler gets only `closed`. */
  end(status: GrpcStatus = grpcStatus.ok, message = ""): void {
    if (this.isClosed || this.ending !== undefined) return;
    this.ending = { status, message };
    this.#release();
    this.#owner.sender.sendEnd(this);
    this.#tellClosed();
  }

  // ---- for the connection

  /**
   * Counts the memory that the call keeps. If all calls of this client together keep too much, ends the call and
   * returns false.
   */
  countOrEnd(): boolean {
    try {
      this.#count();
      return true;
    } catch (error) {
      this.end(grpcStatus.unavailable, toSerinError(error).message);
      return false;
    }
  }

  stop(): void {
    if (!this.#isOver) this.#handler.stopping?.();
  }

  receive(chunk: Buffer, endStream: boolean): number {
    if (this.#isStarted || this.#isOver) this.#take(chunk);
    else if (chunk.length > 0) this.#hold(chunk);
    if (endStream && this.#isStarted) this.#reportEnd();
    return errorCode.noError;
  }

  /** Receives the client's trailers. They can only mean that its side has ended. */
  receiveHeaders(fields: readonly string[], endStream: boolean): number {
    if (!endStream || trailersFault(fields) !== undefined) return errorCode.protocolError;
    if (this.#isStarted) this.#reportEnd();
    return errorCode.noError;
  }

  resetByPeer(): void {
    this.close();
  }

  broken(): void {
    this.close();
  }

  writable(): void {
    if (!this.#owner.sender.pump(this)) return;
    if (this.ending !== undefined) this.#owner.sender.sendEnd(this);
    else if (!this.#isOver) this.#handler.drained();
  }

  enqueue(prefix: Buffer, parts: readonly Buffer[]): void {
    this.#pending.push(prefix);
    this.pendingBytes += prefix.length;
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#pending.push(part);
      this.pendingBytes += part.length;
    }
  }

  /** Moves the next `length` waiting bytes into the frame whose head was written. */
  putPending(output: FrameOutput, length: number): void {
    let left = length;
    let done = 0;
    while (left > 0) {
      const first = this.#pending[done];
      if (first === undefined) break;
      const end = Math.min(first.length, this.#sent + left);
      output.part(this.#sent === 0 && end === first.length ? first : first.subarray(this.#sent, end));
      left -= end - this.#sent;
      this.#sent = end;
      if (end < first.length) break;
      done += 1;
      this.#sent = 0;
    }
    if (done > 0) this.#pending.splice(0, done);
    this.pendingBytes -= length;
  }

  /**
   * Resets a call whose client does not read its end, so that the client does not keep the call and its bytes alive.
   * Must be called once a second.
   */
  sweep(): void {
    if (this.ending === undefined) return;
    this.#endSweeps += 1;
    if (this.#endSweeps * 1000 <= grpcLimits.endTimeoutMs) return;
    this.#owner.session.reset(this, errorCode.cancel);
    this.close();
  }

  /** Called when the stream is gone, or our side has ended. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#pending = [];
    this.pendingBytes = 0;
    this.#release();
    this.#owner.session.ended(this);
    this.#tellClosed();
  }

  // ---- receiving

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#owner.session.queuedBytesChanged(chunk.length);
    this.#heldBytes += chunk.length;
    this.countOrEnd();
  }

  #take(chunk: Buffer): void {
    if (this.#isOver) return;
    this.#owner.session.consumed(this, chunk.length);
    try {
      this.#decoder.push(chunk, this.#message);
      if (!this.#isOver) this.#count();
    } catch (error) {
      if (!this.#isOver) this.#handler.failed(toSerinError(error));
    }
  }

  /** Throws if all calls of this client together keep too much memory. */
  #count(): void {
    if (!this.#kept.set(this.#headBytes + this.#heldBytes + this.#decoder.keptBytes + this.#requestBytes))
      throw transientError("busy", `too many requests from ${this.peer.address} wait for their end`, {
        hint: "send requests whole, on fewer calls at once",
      });
  }

  #reportEnd(): void {
    if (this.#hasReportedEnd || this.#isOver) return;
    this.#hasReportedEnd = true;
    if (this.#decoder.isInside) this.end(grpcStatus.internal, "the client ended the call in the middle of a message");
    else this.#handler.ended();
  }

  /** Drops the bytes that wait for a handler, and counts them as read, because no handler will read them any more. */
  #release(): void {
    const held = this.#held.clear();
    this.#heldBytes = 0;
    if (held > 0) this.#owner.session.queuedBytesChanged(-held);
    this.#kept.set(0);
    this.deadline?.[Symbol.dispose]();
  }

  #tellClosed(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const handler = this.#handler;
    this.#handler = nobody;
    handler.closed();
  }
}
