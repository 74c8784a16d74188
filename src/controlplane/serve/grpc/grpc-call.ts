import { toSerinError, type SerinError } from "../../../base/index.ts";
import { errorCode } from "../../../wire/http2/index.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus, type GrpcStatus } from "./grpc-status.ts";
import { MessageDecoder, type Decompress } from "./message-decoder.ts";
import { fieldValues, type RequestHead } from "./request-head.ts";
import type { FrameOutput } from "./frame-output.ts";

/** Who opened a connection. */
export interface Peer {
  readonly address: string;
  readonly port: number;
  /** Of its client certificate, if that is of a trusted chain: the subject alternative names as node:tls prints them. */
  readonly subjectAltName: string | undefined;
}

/** Who answers a call. */
export interface CallHandler {
  /** A request; its bytes hold only during the call. */
  message(bytes: Buffer): void;
  /** The client has said all. */
  ended(): void;
  /** After a write answered false, more may come. */
  drained(): void;
  /** What the client sent is no request. The handler ends the call. */
  failed(error: SerinError): void;
  /** The last call: the client took the call back, its connection is gone, its time is over, or it was ended here. */
  closed(): void;
}

/** What a call needs of its connection. */
export interface CallOwner {
  readonly peer: Peer;
  /** Frames what the windows and the output allow; false when something waits. */
  sendMessage(call: GrpcCall, parts: readonly Buffer[], length: number): boolean;
  /** The call's trailers, once what waits has gone. */
  sendEnd(call: GrpcCall): void;
  /** Gives window of the connection back to the peer. */
  consumed(bytes: number): void;
  openStreamWindow(call: GrpcCall, bytes: number): void;
}

/** Of a message: not compressed, and its length. */
export const prefixBytes = 5;
const nobody: CallHandler = { message() {}, ended() {}, drained() {}, failed() {}, closed() {} };

/** One call: a stream of its connection. Requests wait, within its window, until somebody answers it. */
export class GrpcCall {
  readonly id: number;
  readonly head: RequestHead;
  readonly #owner: CallOwner;
  readonly #fields: readonly string[];
  readonly #decoder: MessageDecoder;
  readonly #message = (bytes: Buffer): void => {
    if (!this.#isOver) this.#handler.message(bytes);
  };
  #handler = nobody;
  #isStarted = false;
  /** What came before somebody answered the call. */
  #held: Buffer[] = [];
  /** How much of {@link grpcLimits.streamWindowBytes} the peer has left, and what of the rest was read. */
  #receiveWindow: number = grpcLimits.streamWindowBytes;
  #uncredited = 0;
  /** Messages that wait for windows or the kernel, as parts that other calls share; of the first `#sent` bytes are gone. */
  #pending: Buffer[] = [];
  #sent = 0;
  #isToldEnd = false;
  #isOver = false;
  pendingBytes = 0;
  /** How many bytes the peer lets us send; the connection changes it. */
  sendWindow: number;
  hasSentHead = false;
  /** What the trailers are to say, once they may. */
  ending: { readonly status: GrpcStatus; readonly message: string } | undefined;
  remoteEnded = false;
  /** Our side has ended, or the stream is gone. */
  isClosed = false;
  /** Seconds since it was ended. */
  endSweeps = 0;
  deadline: Disposable | undefined;

  constructor(
    owner: CallOwner,
    options: {
      readonly id: number;
      readonly fields: readonly string[];
      readonly head: RequestHead;
      readonly sendWindow: number;
      readonly maxRequestBytes: number;
      readonly decompress: Decompress | undefined;
    },
  ) {
    this.#owner = owner;
    this.id = options.id;
    this.head = options.head;
    this.#fields = options.fields;
    this.sendWindow = options.sendWindow;
    this.#decoder = new MessageDecoder(options.maxRequestBytes, options.decompress);
  }

  get path(): string {
    return this.head.path;
  }

  get peer(): Peer {
    return this.#owner.peer;
  }

  /** The values of a field of the request's head. */
  header(name: string): readonly string[] {
    return fieldValues(this.#fields, name);
  }

  /** Sets who answers, and tells what has come so far. Once. */
  start(handler: CallHandler): void {
    if (this.#isOver) {
      handler.closed();
      return;
    }
    this.#handler = handler;
    this.#isStarted = true;
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#take(chunk);
    if (this.remoteEnded) this.#tellEnd();
  }

  /** Sends one message of these parts, whose bytes must not change any more. False: wait for `drained`. */
  write(parts: readonly Buffer[]): boolean {
    if (this.isClosed || this.ending !== undefined) return false;
    let length = 0;
    for (const part of parts) length += part.length;
    return this.#owner.sendMessage(this, parts, length);
  }

  /** Ends the call after what was written. The handler hears no more than that it is closed. */
  end(status: GrpcStatus = grpcStatus.ok, message = ""): void {
    if (this.isClosed || this.ending !== undefined) return;
    this.ending = { status, message };
    this.#release();
    this.#owner.sendEnd(this);
    this.#tellClosed();
  }

  // ---- for the connection

  /** A piece of DATA. Answers the code of the stream's error, if it is one. */
  receive(chunk: Buffer, endStream: boolean): number {
    if (this.remoteEnded) {
      this.#owner.consumed(chunk.length);
      return errorCode.streamClosed;
    }
    this.#receiveWindow -= chunk.length;
    if (this.#receiveWindow < 0) {
      this.#owner.consumed(chunk.length);
      return errorCode.flowControlError;
    }
    if (endStream) this.remoteEnded = true;
    if (this.#isStarted || this.#isOver) this.#take(chunk);
    else if (chunk.length > 0) this.#held.push(Buffer.from(chunk));
    if (endStream && this.#isStarted) this.#tellEnd();
    return errorCode.noError;
  }

  /** Padding counts for the window, and is given back with what comes next. */
  receivePadding(length: number): number {
    this.#owner.consumed(length);
    if (this.remoteEnded) return errorCode.noError;
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) return errorCode.flowControlError;
    this.#credit(length);
    return errorCode.noError;
  }

  /** Trailers of the client: all that they can say is that it has ended. */
  receiveTrailers(): void {
    this.remoteEnded = true;
    if (this.#isStarted) this.#tellEnd();
  }

  /** Puts a message behind what waits. */
  enqueue(prefix: Buffer, parts: readonly Buffer[]): void {
    this.#pending.push(prefix);
    this.pendingBytes += prefix.length;
    for (const part of parts) {
      if (part.length === 0) continue;
      this.#pending.push(part);
      this.pendingBytes += part.length;
    }
  }

  /** Moves the next `length` bytes of what waits to the frame whose head was put. */
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

  drained(): void {
    if (!this.#isOver) this.#handler.drained();
  }

  /** The stream is gone, or our side has ended. */
  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.#pending = [];
    this.pendingBytes = 0;
    this.#release();
    this.#tellClosed();
  }

  // ---- receiving

  #take(chunk: Buffer): void {
    this.#owner.consumed(chunk.length);
    if (this.#isOver) return;
    if (!this.remoteEnded) this.#credit(chunk.length);
    try {
      this.#decoder.push(chunk, this.#message);
    } catch (error) {
      if (!this.#isOver) this.#handler.failed(toSerinError(error));
    }
  }

  #credit(bytes: number): void {
    this.#uncredited += bytes;
    if (this.#uncredited < grpcLimits.streamWindowBytes / 2) return;
    this.#owner.openStreamWindow(this, this.#uncredited);
    this.#receiveWindow += this.#uncredited;
    this.#uncredited = 0;
  }

  #tellEnd(): void {
    if (this.#isToldEnd || this.#isOver) return;
    this.#isToldEnd = true;
    if (this.#decoder.isInside) this.end(grpcStatus.internal, "the client ended the call within a message");
    else this.#handler.ended();
  }

  /** What was held counts as read: nobody will. */
  #release(): void {
    const held = this.#held;
    this.#held = [];
    for (const chunk of held) this.#owner.consumed(chunk.length);
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
