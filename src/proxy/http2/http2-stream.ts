import { ChunkQueue } from "../../net/index.ts";
import { errorCode, errorCodeName, SessionStream, trailersFault, type Http2Session } from "../../wire/http2/index.ts";
import { http2Limits } from "./http2-limits.ts";

/**
 * The user of a stream. Byte ranges are valid only during the call. No method is called after both sides have ended, or
 * after {@link Http2Stream.reset}.
 */
export interface Http2StreamHandler {
  /** Called for the head and for the trailers, with alternating names and values. */
  headers(fields: readonly string[], endStream: boolean): void;
  data(bytes: Buffer, endStream: boolean): void;
  /** Called when the caller may write again after a write returned false. */
  drained(): void;
  aborted(failure: StreamFailure): void;
}

export interface StreamFailure {
  readonly by: "peer" | "connection" | "protocol";
  readonly code: number;
  /** Whether the peer has not processed the stream, so that it may be opened again on another connection. */
  readonly unprocessed: boolean;
  readonly message: string;
}

const nobody: Http2StreamHandler = { headers() {}, data() {}, drained() {}, aborted() {} };
const noBytes = Buffer.alloc(0);

/**
 * One stream of an HTTP/2 connection. It contains both directions with their windows, and the data that waits in each.
 */
export class Http2Stream extends SessionStream {
  readonly #session: Http2Session<Http2Stream>;
  readonly #server: boolean;
  #hasHead = false;
  handler: Http2StreamHandler = nobody;
  /** The part of `content-length` that has not arrived. -1 if there is no length. */
  expectedBytes = -1;
  #paused = false;
  #delivering = false;
  /** Received data that waits for its reader. Undefined until some must wait, because most streams never have any. */
  #queue: ChunkQueue | undefined;
  #queuedTrailers: readonly string[] | undefined;
  /**
   * Data that waits for room in the windows or in the output. A large chunk stays in the memory into which it was read.
   */
  #pending: ChunkQueue | undefined;
  #pendingTrailers: readonly string[] | undefined;
  #wantsDrain = false;
  #local: "open" | "ending" | "ended" = "open";
  /** Whether the handler has been told that the peer has ended its side. */
  #toldEnd = false;
  #closed = false;
  #left = false;
  #stalledSweeps = 0;
  #heldBytes = 0;
  #unsentBytes = 0;
  readonly #onUnsent: (difference: number) => void;

  /**
   * `server` says whether this is the server's end, so that the client opened the stream. `onUnsent` is called with
   * each change in the number of bytes that wait for the peer.
   */
  constructor(
    session: Http2Session<Http2Stream>,
    id: number,
    server: boolean,
    onUnsent: (difference: number) => void = () => undefined,
  ) {
    super(id);
    this.#session = session;
    this.#server = server;
    this.#onUnsent = onUnsent;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** The number of received bytes that wait for the reader plus the number of our bytes that wait for the peer. */
  get heldBytes(): number {
    return this.#heldBytes + this.#unsentBytes;
  }

  /** Whether our side has ended, or will end as soon as the windows allow it. */
  get localEnded(): boolean {
    return this.#local !== "open";
  }

  // ---- sending

  sendHeaders(fields: readonly string[], endStream: boolean): void {
    if (this.#closed || this.#local !== "open") return;
    this.#session.sendHeaders(this, fields, endStream);
    if (endStream) this.#localDone();
  }

  sendHead(block: Buffer, endStream: boolean): void {
    if (this.#closed || this.#local !== "open") return;
    this.#session.sendBlock(this, block, endStream);
    if (endStream) this.#localDone();
  }

  /**
   * Sends a part of the body. Returns false if the caller must wait for `drained` before it writes more. Bytes that
   * could not be sent are kept.
   */
  write(bytes: Buffer, endStream: boolean): boolean {
    if (this.#closed || this.#local !== "open") return true;
    if (endStream) this.#local = "ending";
    const sent = this.#hasPending() ? 0 : this.#send(bytes, 0);
    if (this.#closed) return true;
    if (sent < bytes.length || (bytes.length === 0 && this.#hasPending())) {
      if (sent < bytes.length) {
        (this.#pending ??= new ChunkQueue()).push(bytes.subarray(sent));
        this.#unsent(bytes.length - sent);
      }
      this.#wantsDrain = true;
      return false;
    }
    if (this.#local !== "open" || !this.#session.congested(this)) return true;
    this.#wantsDrain = true;
    return false;
  }

  sendTrailers(fields: readonly string[]): void {
    if (this.#closed || this.#local !== "open") return;
    this.#local = "ending";
    this.#pendingTrailers = fields;
    if (!this.#hasPending()) this.#sendEnd();
  }

  /** Called by the connection when the windows or the output have room again. */
  writable(): void {
    while (!this.#closed) {
      const chunk = this.#pending?.first;
      if (chunk === undefined) break;
      const { length } = chunk.bytes;
      let sent = 0;
      chunk.deliver((bytes) => (sent = this.#send(bytes, 0)));
      // If the stream has ended meanwhile, its remaining bytes are already dropped.
      if (this.#closed) return;
      this.#unsent(-sent);
      if (sent < length) {
        if (sent > 0) chunk.skip(sent);
        return;
      }
      chunk.release();
      this.#pending?.shift();
    }
    if (this.#closed) return;
    if (this.#local === "ending") this.#sendEnd();
    else if (this.#wantsDrain && !this.#session.congested(this)) {
      this.#wantsDrain = false;
      this.handler.drained();
    }
  }

  /** Ends the stream at once. Its handler is not called. */
  reset(code: number): void {
    if (this.#closed) return;
    this.#session.reset(this, code);
    this.#close();
  }

  /**
   * Called when nobody uses the stream any more. Data that the peer still sends is dropped, and the stream ends when
   * our data has been sent.
   */
  leave(): void {
    this.handler = nobody;
    this.#left = true;
    if (this.#closed || this.#toldEnd) return;
    this.resume();
    this.#closeWhenBothEnded();
  }

  /** Called once a second. Resets a stream without a user whose data makes no progress within `flushTimeoutMs`. */
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

  receiveHeaders(fields: readonly string[], endStream: boolean): number {
    if (!endStream) {
      this.#hasHead = true;
      this.handler.headers(fields, false);
      return errorCode.noError;
    }
    if (this.expectedBytes > 0) return errorCode.protocolError;
    // Check trailers when they arrive, and not only when they are read. Otherwise a client's fault would stay hidden
    // while its request waits for the upstream.
    if (this.#server && this.#hasHead && trailersFault(fields) !== undefined) return errorCode.protocolError;
    this.#queuedTrailers = fields;
    this.#deliverQueue();
    return errorCode.noError;
  }

  receive(chunk: Buffer, endStream: boolean): number {
    if (this.expectedBytes >= 0) {
      this.expectedBytes -= chunk.length;
      if (this.expectedBytes < 0 || (endStream && this.expectedBytes > 0)) return errorCode.protocolError;
    }
    const waits = this.#paused || this.#delivering || this.#queue?.isEmpty === false;
    if (!waits) {
      this.#deliver(chunk, endStream);
      this.#deliverQueue();
    } else if (chunk.length > 0) {
      (this.#queue ??= new ChunkQueue()).push(chunk);
      this.#hold(chunk.length);
    }
    return errorCode.noError;
  }

  broken(code: number): void {
    this.abort({
      by: "protocol",
      code,
      unprocessed: false,
      message: `the peer violated the protocol of the stream (${errorCodeName(code)})`,
    });
  }

  /** Ends the stream, because the process holds too many bytes for clients, and most of them for this peer. */
  shed(): void {
    if (this.#closed) return;
    const code = errorCode.enhanceYourCalm;
    this.#session.reset(this, code);
    const message = "the reader takes too long, and this process holds too many bytes";
    this.abort({ by: "connection", code, unprocessed: false, message });
  }

  resetByPeer(code: number): void {
    if (this.#closed) return;
    if (this.remoteEnded && code === errorCode.noError) {
      // Treat the reset as the end of the stream: the peer has sent its whole message, which still counts, and needs
      // nothing more.
      this.#local = "ended";
      this.#dropPending();
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

  abort(failure: StreamFailure): void {
    if (this.#closed) return;
    const { handler } = this;
    this.#close();
    handler.aborted(failure);
  }

  /** A method and not a getter: V8 calls into its runtime for each use of a private getter. */
  #hasPending(): boolean {
    return this.#pending?.isEmpty === false;
  }

  #send(bytes: Uint8Array, start: number): number {
    const isLast = !this.#hasPending() || this.#pending?.isLone === true;
    const ends = this.#local === "ending" && this.#pendingTrailers === undefined && isLast;
    const sent = this.#session.sendData(this, bytes, start, ends);
    if (sent > start) this.#stalledSweeps = 0;
    if (ends && sent === bytes.length) this.#localDone();
    return sent;
  }

  #sendEnd(): void {
    const trailers = this.#pendingTrailers;
    if (trailers === undefined) this.#session.sendData(this, noBytes, 0, true);
    else this.#session.sendHeaders(this, trailers, true);
    this.#localDone();
  }

  #localDone(): void {
    this.#local = "ended";
    this.#closeWhenBothEnded();
  }

  #deliver(chunk: Buffer, endStream: boolean): void {
    this.#delivering = true;
    if (endStream) this.#toldEnd = true;
    this.handler.data(chunk, endStream);
    this.#delivering = false;
    if (this.#closed) return;
    if (endStream) this.#closeWhenBothEnded();
    else this.#session.consumed(this, chunk.length);
  }

  #deliverQueue(): void {
    if (this.#delivering) return;
    while (!this.#paused && !this.#closed && !this.#toldEnd) {
      const chunk = this.#queue?.shift();
      if (chunk !== undefined) {
        this.#hold(-chunk.bytes.length);
        const isLast = this.#queue?.isEmpty === true && this.remoteEnded && this.#queuedTrailers === undefined;
        chunk.deliver((bytes) => this.#deliver(bytes, isLast));
        chunk.release();
        continue;
      }
      if (!this.remoteEnded) return;
      this.#toldEnd = true;
      const trailers = this.#queuedTrailers;
      if (trailers === undefined) this.handler.data(noBytes, true);
      else this.handler.headers(trailers, true);
      this.#closeWhenBothEnded();
    }
  }

  #closeWhenBothEnded(): void {
    if (this.#local !== "ended" || this.#closed) return;
    if (this.#toldEnd) this.#close();
    else if (this.#left) this.reset(errorCode.noError);
  }

  #hold(difference: number): void {
    this.#heldBytes += difference;
    this.#session.queuedBytesChanged(difference);
  }

  #unsent(difference: number): void {
    if (difference === 0) return;
    this.#unsentBytes += difference;
    this.#onUnsent(difference);
  }

  #dropPending(): void {
    this.#pending?.clear();
    this.#unsent(-this.#unsentBytes);
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const queued = this.#queue?.clear() ?? 0;
    this.#dropPending();
    if (queued > 0) this.#hold(-queued);
    this.handler = nobody;
    this.#session.ended(this);
  }
}
