import { errorCode, errorCodeName } from "../../wire/http2/index.ts";
import { http2Limits } from "./http2-limits.ts";

/** Who uses a stream. Bytes hold only during the call. Nothing is told after both sides have ended, or after {@link Http2Stream.reset}. */
export interface Http2StreamHandler {
  /** Names and values in turn: a head, or the trailers. */
  headers(fields: readonly string[], endStream: boolean): void;
  data(bytes: Buffer, endStream: boolean): void;
  /** After a write answered false, there is room again. */
  drained(): void;
  /** The stream ended before its time. */
  aborted(failure: StreamFailure): void;
}

export interface StreamFailure {
  readonly by: "peer" | "connection" | "protocol";
  readonly code: number;
  /** The peer has not looked at the stream, so it may be opened again on another connection. */
  readonly unprocessed: boolean;
  readonly message: string;
}

/** What a stream needs of its connection. */
export interface StreamOwner {
  /** Frames as much as the windows and the output allow, from `start` on; answers where it stopped. `endStream` goes with the last byte. */
  sendData(stream: Http2Stream, bytes: Uint8Array, start: number, endStream: boolean): number;
  sendHeaders(stream: Http2Stream, fields: readonly string[], endStream: boolean): void;
  sendReset(stream: Http2Stream, code: number): void;
  /** True when a writer had better wait; {@link Http2Stream.writable} is called later. */
  congested(stream: Http2Stream): boolean;
  /** Gives window back to the peer. */
  creditStream(stream: Http2Stream, bytes: number): void;
  queuedBytesChanged(difference: number): void;
  streamEnded(stream: Http2Stream): void;
}

const nobody: Http2StreamHandler = { headers() {}, data() {}, drained() {}, aborted() {} };
const noBytes = Buffer.alloc(0);

/** One stream of an HTTP/2 connection: its two halves, its windows, and what waits in both directions. */
export class Http2Stream {
  readonly id: number;
  readonly #owner: StreamOwner;
  handler: Http2StreamHandler = nobody;
  /** How many bytes the peer lets us send; the connection changes it. */
  sendWindow: number;
  /** Bytes handed over and not yet given back as window. */
  uncredited = 0;
  /** What `content-length` promised and has not come; -1 when it promised nothing. */
  expectedBytes = -1;
  #receiveWindow: number = http2Limits.streamWindowBytes;
  #paused = false;
  #delivering = false;
  #queue: Buffer[] = [];
  /** The end that stands behind the queue. */
  #queuedTrailers: readonly string[] | undefined;
  #pending: Uint8Array[] = [];
  #pendingTrailers: readonly string[] | undefined;
  #wantsDrain = false;
  #local: "open" | "ending" | "ended" = "open";
  #remote: "open" | "queued" | "ended" = "open";
  #closed = false;
  #left = false;
  #stalledSweeps = 0;

  constructor(owner: StreamOwner, id: number, sendWindow: number) {
    this.#owner = owner;
    this.id = id;
    this.sendWindow = sendWindow;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** We have said all, or are about to when windows allow it. */
  get localEnded(): boolean {
    return this.#local !== "open";
  }

  /** The peer has said all. */
  get remoteEnded(): boolean {
    return this.#remote !== "open";
  }

  // ---- sending

  sendHeaders(fields: readonly string[], endStream: boolean): void {
    if (this.#closed || this.#local !== "open") return;
    this.#owner.sendHeaders(this, fields, endStream);
    if (endStream) this.#localDone();
  }

  /** False: wait for `drained`. What could not be sent has been copied. */
  write(bytes: Uint8Array, endStream: boolean): boolean {
    if (this.#closed || this.#local !== "open") return true;
    if (endStream) this.#local = "ending";
    const sent = this.#pending.length > 0 ? 0 : this.#send(bytes, 0);
    if (this.#closed) return true;
    if (sent < bytes.length || (bytes.length === 0 && this.#pending.length > 0)) {
      if (sent < bytes.length) this.#pending.push(Buffer.from(bytes.subarray(sent)));
      this.#wantsDrain = true;
      return false;
    }
    if (this.#local !== "open" || !this.#owner.congested(this)) return true;
    this.#wantsDrain = true;
    return false;
  }

  /** Ends our side with trailers, after what still waits. */
  sendTrailers(fields: readonly string[]): void {
    if (this.#closed || this.#local !== "open") return;
    this.#local = "ending";
    this.#pendingTrailers = fields;
    if (this.#pending.length === 0) this.#sendEnd();
  }

  /** Called by the connection when windows or output have room again. */
  writable(): void {
    while (!this.#closed && this.#pending.length > 0) {
      const bytes = this.#pending[0] ?? noBytes;
      const sent = this.#send(bytes, 0);
      if (sent < bytes.length) {
        if (sent > 0) this.#pending[0] = bytes.subarray(sent);
        return;
      }
      this.#pending.shift();
    }
    if (this.#closed) return;
    if (this.#local === "ending") this.#sendEnd();
    else if (this.#wantsDrain && !this.#owner.congested(this)) {
      this.#wantsDrain = false;
      this.handler.drained();
    }
  }

  /** Ends the stream at once; its handler is told nothing. */
  reset(code: number): void {
    if (this.#closed) return;
    this.#owner.sendReset(this, code);
    this.#close();
  }

  /** Nobody looks after the stream any more: what the peer still says is not wanted, and it ends when what we said has gone. */
  leave(): void {
    this.handler = nobody;
    this.#left = true;
    if (this.#closed || this.#remote === "ended") return;
    this.resume();
    this.#closeWhenBothEnded();
  }

  /** Called once a second: what we said must go on its way within {@link http2Limits}. */
  sweep(): void {
    if (!this.#left) return;
    this.#stalledSweeps += 1;
    if (this.#stalledSweeps * 1000 > http2Limits.flushTimeoutMs) this.reset(errorCode.cancel);
  }

  // ---- receiving

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#deliverQueue();
  }

  /** The connection read a head or trailers. Answers the code of the stream's error, if it is one. */
  receiveHeaders(fields: readonly string[], endStream: boolean): number {
    if (this.#remote !== "open") return errorCode.streamClosed;
    if (!endStream) {
      this.handler.headers(fields, false);
      return errorCode.noError;
    }
    if (this.expectedBytes > 0) return errorCode.protocolError;
    this.#remote = "queued";
    this.#queuedTrailers = fields;
    this.#deliverQueue();
    return errorCode.noError;
  }

  /** A piece of DATA. Answers as {@link receiveHeaders}. */
  receive(chunk: Buffer, endStream: boolean): number {
    if (this.#remote !== "open") return errorCode.streamClosed;
    this.#receiveWindow -= chunk.length;
    if (this.#receiveWindow < 0) return errorCode.flowControlError;
    if (this.expectedBytes >= 0) {
      this.expectedBytes -= chunk.length;
      if (this.expectedBytes < 0 || (endStream && this.expectedBytes > 0)) return errorCode.protocolError;
    }
    const waits = this.#paused || this.#delivering || this.#queue.length > 0;
    if (endStream) this.#remote = "queued";
    if (!waits) {
      this.#deliver(chunk, endStream);
      this.#deliverQueue();
    } else if (chunk.length > 0) {
      this.#queue.push(Buffer.from(chunk));
      this.#owner.queuedBytesChanged(chunk.length);
    }
    return errorCode.noError;
  }

  /** Padding counts for the window, and is given back at once. */
  receivePadding(length: number): number {
    this.#receiveWindow -= length;
    if (this.#receiveWindow < 0) return errorCode.flowControlError;
    this.#owner.creditStream(this, length);
    return errorCode.noError;
  }

  /** The peer got its window back for these bytes. */
  credited(bytes: number): void {
    this.#receiveWindow += bytes;
    this.uncredited = 0;
  }

  /** RST_STREAM from the peer. */
  resetByPeer(code: number): void {
    if (this.#closed) return;
    if (this.#remote !== "open" && code === errorCode.noError) {
      // The peer has said all, and wants no more of us: what it said still counts.
      this.#local = "ended";
      this.#pending = [];
      this.#closeWhenBothEnded();
      return;
    }
    this.abort({
      by: "peer",
      code,
      unprocessed: code === errorCode.refusedStream,
      message: `the peer reset the stream (${errorCodeName(code)})`,
    });
  }

  /** Ended by the connection. */
  abort(failure: StreamFailure): void {
    if (this.#closed) return;
    const { handler } = this;
    this.#close();
    handler.aborted(failure);
  }

  #send(bytes: Uint8Array, start: number): number {
    const ends = this.#local === "ending" && this.#pendingTrailers === undefined && this.#pending.length <= 1;
    const sent = this.#owner.sendData(this, bytes, start, ends);
    if (sent > start) this.#stalledSweeps = 0;
    if (ends && sent === bytes.length) this.#localDone();
    return sent;
  }

  #sendEnd(): void {
    const trailers = this.#pendingTrailers;
    if (trailers === undefined) this.#owner.sendData(this, noBytes, 0, true);
    else this.#owner.sendHeaders(this, trailers, true);
    this.#localDone();
  }

  #localDone(): void {
    this.#local = "ended";
    this.#closeWhenBothEnded();
  }

  #deliver(chunk: Buffer, endStream: boolean): void {
    this.#delivering = true;
    if (endStream) this.#remote = "ended";
    this.handler.data(chunk, endStream);
    this.#delivering = false;
    if (this.#closed) return;
    if (endStream) this.#closeWhenBothEnded();
    else this.#owner.creditStream(this, chunk.length);
  }

  #deliverQueue(): void {
    if (this.#delivering) return;
    while (!this.#paused && !this.#closed && this.#remote !== "ended") {
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#owner.queuedBytesChanged(-chunk.length);
        this.#deliver(
          chunk,
          this.#queue.length === 0 && this.#remote === "queued" && this.#queuedTrailers === undefined,
        );
        continue;
      }
      if (this.#remote !== "queued") return;
      this.#remote = "ended";
      const trailers = this.#queuedTrailers;
      if (trailers === undefined) this.handler.data(noBytes, true);
      else this.handler.headers(trailers, true);
      this.#closeWhenBothEnded();
    }
  }

  #closeWhenBothEnded(): void {
    if (this.#local !== "ended" || this.#closed) return;
    if (this.#remote === "ended") this.#close();
    else if (this.#left) this.reset(errorCode.noError);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    let queued = 0;
    for (const chunk of this.#queue) queued += chunk.length;
    this.#queue = [];
    this.#pending = [];
    if (queued > 0) this.#owner.queuedBytesChanged(-queued);
    this.handler = nobody;
    this.#owner.streamEnded(this);
  }
}
