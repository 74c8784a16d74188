import { ChunkQueue, type ByteStream, type ByteStreamHandler, type SocketAddress } from "../../net/index.ts";
import { containing, transientError } from "../../base/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode, errorCodeName, SessionStream, type Http2Session } from "../../wire/http2/index.ts";
import { headersOf } from "./request-fields.ts";

export interface TunnelOwner {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  readonly session: Http2Session<TunnelStream>;
  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void;
  unsent(difference: number): void;
}

const noBytes = new Uint8Array(0);
const noFields: readonly string[] = [];
const notRetiring = (): boolean => false;
const nobody: ByteStreamHandler = { data() {}, end() {}, drain() {}, close() {} };

export interface PendingAnswer {
  accepted(): void;
  failed(error: Error): void;
}

/** One CONNECT tunnel as a byte stream: flow control, half close and reset over HTTP/2 frames. */
export class TunnelStream extends SessionStream implements ByteStream {
  readonly #owner: TunnelOwner;
  readonly #session: Http2Session<TunnelStream>;
  #handler: ByteStreamHandler = nobody;
  #paused = true;
  #delivering = false;
  readonly #queue = new ChunkQueue();
  readonly #pending = new ChunkQueue();
  #pendingBytes = 0;
  #wantsDrain = false;
  #localEnd: "open" | "ending" | "ended" = "open";
  /** Whether the handler was notified that the peer has ended. */
  #toldEnd = false;
  #closed = false;
  #closeDelivered = false;
  #closeError: Error | undefined;
  #received = 0;
  #sent = 0;
  #heldBytes = 0;

  constructor(owner: TunnelOwner, id: number) {
    super(id);
    this.#owner = owner;
    this.#session = owner.session;
  }

  readonly fd = -1;
  pendingAnswer: PendingAnswer | undefined;
  /** The peer's SPIFFE id, set when the peer accepts our CONNECT. */
  peerIdentity = "";
  /** The names and values of the response's fields, alternating. */
  responseFields: readonly string[] = noFields;
  /** Whether the connection below accepts no new tunnels. */
  isRetiring: () => boolean = notRetiring;

  get responseHeaders(): Headers {
    return headersOf(this.responseFields);
  }
  get retiring(): boolean {
    return this.isRetiring();
  }

  get local(): SocketAddress {
    return this.#owner.local;
  }
  get remote(): SocketAddress {
    return this.#owner.remote;
  }
  get bufferedBytes(): number {
    return this.#pendingBytes;
  }
  /** The number of bytes that wait: received ones for the reader, and sent ones for the peer. */
  get heldBytes(): number {
    return this.#heldBytes + this.#pendingBytes;
  }
  get receivedBytes(): number {
    return this.#received;
  }
  get sentBytes(): number {
    return this.#sent;
  }
  get closed(): boolean {
    return this.#closed;
  }

  setHandler(handler: ByteStreamHandler): void {
    this.#handler = handler;
    // A handler that is set after the close is still notified of it.
    if (this.#closeDelivered) queueMicrotask(() => containing(() => handler.close(this.#closeError)));
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.#localEnd !== "open") return false;
    this.#sent += bytes.length;
    const sent = !this.#pending.isEmpty ? 0 : this.#session.sendData(this, bytes, 0, false);
    if (sent < bytes.length) {
      // A relay's chunk is valid only during the call.
      this.#pending.push(bufferOf(bytes).subarray(sent));
      this.#unsent(bytes.length - sent);
      this.#wantsDrain = true;
      return false;
    }
    if (!this.#session.congested(this)) return true;
    this.#wantsDrain = true;
    return false;
  }

  /** Called when the windows or the output have room again. */
  writable(): void {
    while (!this.#closed) {
      const kept = this.#pending.first;
      if (kept === undefined) break;
      const { length } = kept.bytes;
      const sent = this.#session.sendData(this, kept.bytes, 0, false);
      // The stream was closed meanwhile, which has dropped the rest.
      if (this.#closed) return;
      this.#unsent(-sent);
      if (sent < length) {
        if (sent > 0) kept.skip(sent);
        return;
      }
      this.#pending.shift();
      kept.release();
    }
    if (this.#closed) return;
    if (this.#localEnd === "ending") this.#sendEnd();
    else if (this.#wantsDrain && !this.#session.congested(this)) {
      this.#wantsDrain = false;
      this.#handler.drain();
    }
  }

  end(): void {
    if (this.#closed || this.#localEnd !== "open") return;
    this.#localEnd = "ending";
    if (this.#pending.isEmpty) this.#sendEnd();
  }

  destroy(options: { readonly error?: Error; readonly reset?: boolean } = {}): void {
    if (this.#closed) return;
    // A close without a reset first ends our side in an orderly way, and then ignores input.
    if (options.reset !== true && this.#localEnd === "open") this.#session.sendData(this, noBytes, 0, true);
    this.#session.reset(this, options.reset === true || this.#pendingBytes > 0 ? errorCode.cancel : errorCode.noError);
    this.#close(options.error);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliverQueue();
  }

  receive(chunk: Buffer, endStream: boolean): number {
    if (this.#closed) return errorCode.noError;
    if (this.#paused || this.#delivering || !this.#queue.isEmpty) {
      if (chunk.length > 0) {
        this.#queue.push(chunk);
        this.#hold(chunk.length);
      }
    } else if (chunk.length > 0) this.#deliver(chunk);
    if (endStream) this.#deliverQueue();
    return errorCode.noError;
  }

  receiveHeaders(fields: readonly string[], endStream: boolean): number {
    this.#owner.headers(this, fields, endStream);
    return errorCode.noError;
  }

  broken(code: number): void {
    this.abort(
      transientError("tunnel-broken", `the peer violated the protocol of the tunnel (${errorCodeName(code)})`),
    );
  }

  /** Called when a header block from the peer ended its side. */
  endReceived(): void {
    this.remoteEnded = true;
    this.#deliverQueue();
  }

  /** Called when the peer or the connection has ended the stream. */
  abort(error: Error | undefined): void {
    if (!this.#closed) this.#close(error);
  }

  /** Resets the stream, because the process holds too many bytes, and this peer most of them. */
  shed(): void {
    this.destroy({
      reset: true,
      error: transientError("tunnel-broken", "the reader takes too long, and this process holds too many bytes"),
    });
  }

  resetByPeer(code: number): void {
    if (this.#closed) return;
    if (code === errorCode.noError && this.remoteEnded) {
      // The peer has sent all of its data and wants no more from us. Its data is still delivered.
      this.#localEnd = "ended";
      this.#dropPending();
      this.#finish();
    } else if (code === errorCode.refusedStream)
      this.#close(transientError("tunnel-refused", "the peer refused the tunnel"));
    else this.#close(transientError("tunnel-broken", `the peer reset the tunnel (${errorCodeName(code)})`));
  }

  #deliver(chunk: Buffer): void {
    this.#delivering = true;
    this.#received += chunk.length;
    this.#handler.data(chunk);
    this.#delivering = false;
    if (!this.#closed) this.#session.consumed(this, chunk.length);
  }

  #hold(difference: number): void {
    this.#heldBytes += difference;
    this.#session.queuedBytesChanged(difference);
  }

  #unsent(difference: number): void {
    if (difference === 0) return;
    this.#pendingBytes += difference;
    this.#owner.unsent(difference);
  }

  #dropPending(): void {
    this.#pending.clear();
    this.#unsent(-this.#pendingBytes);
  }

  #deliverQueue(): void {
    if (this.#delivering) return;
    while (!this.#paused && !this.#closed) {
      const kept = this.#queue.shift();
      if (kept === undefined) break;
      this.#hold(-kept.bytes.length);
      kept.deliver((chunk) => this.#deliver(chunk));
      kept.release();
    }
    if (this.#closed || !this.#queue.isEmpty || !this.remoteEnded || this.#toldEnd) return;
    this.#toldEnd = true;
    this.#handler.end();
    this.#finish();
  }

  #sendEnd(): void {
    this.#localEnd = "ended";
    this.#session.sendData(this, noBytes, 0, true);
    this.#finish();
  }

  #finish(): void {
    if (this.#localEnd === "ended" && this.#toldEnd) this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    const queued = this.#queue.clear();
    this.#dropPending();
    if (queued > 0) this.#hold(-queued);
    this.#session.ended(this);
    this.#closeError = error;
    // Call the handler later, and never during the caller's own call.
    queueMicrotask(() => {
      this.#closeDelivered = true;
      containing(() => this.#handler.close(error));
    });
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
