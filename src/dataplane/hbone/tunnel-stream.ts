import type { ByteStream, ByteStreamHandler, SocketAddress } from "../../net/index.ts";
import { transientError } from "../../base/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode, errorCodeName } from "../../wire/http2/index.ts";
import { hboneLimits } from "./limits.ts";

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly local: SocketAddress;
  readonly remote: SocketAddress;
  /** Frames as much as the windows and the output allow, from `start` on; answers where it stopped. */
  sendData(stream: TunnelStream, bytes: Uint8Array, start: number): number;
  sendEnd(stream: TunnelStream): void;
  sendReset(stream: TunnelStream, code: number): void;
  /** True when a writer had better wait; the stream's {@link TunnelStream.writable} is called later. */
  congested(stream: TunnelStream): boolean;
  /** Gives window back to the peer. */
  creditStream(stream: TunnelStream, bytes: number): void;
  queuedBytesChanged(difference: number): void;
  streamEnded(stream: TunnelStream): void;
}

const nobody: ByteStreamHandler = { data() {}, end() {}, drain() {}, close() {} };

/** One CONNECT tunnel as a byte stream: flow control, half close and reset over HTTP/2 frames. */
export class TunnelStream implements ByteStream {
  readonly id: number;
  readonly #owner: StreamOwner;
  #handler: ByteStreamHandler = nobody;
  /** How many bytes the peer lets us send; its connection changes it. */
  sendWindow: number;
  /** Bytes handed over and not yet given back as window. */
  uncredited = 0;
  #receiveWindow: number = hboneLimits.streamWindowBytes;
  #paused = true;
  #delivering = false;
  #queue: Buffer[] = [];
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #wantsDrain = false;
  #localEnd: "open" | "ending" | "ended" = "open";
  #remoteEnd: "open" | "queued" | "ended" = "open";
  #closed = false;
  #closeDelivered = false;
  #closeError: Error | undefined;
  #received = 0;
  #sent = 0;

  constructor(owner: StreamOwner, id: number, sendWindow: number) {
    this.#owner = owner;
    this.id = id;
    this.sendWindow = sendWindow;
  }

  readonly fd = -1;
  /** Set when the peer has accepted our CONNECT. */
  peerIdentity = "";
  responseHeaders: Headers = [];
  /** Whether the connection under it takes no new tunnels; set with the two above. */
  isRetiring: () => boolean = () => false;

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
    // Who comes too late for the end still hears of it.
    if (this.#closeDelivered) queueMicrotask(() => handler.close(this.#closeError));
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.#localEnd !== "open") return false;
    this.#sent += bytes.length;
    const sent = this.#pending.length > 0 ? 0 : this.#owner.sendData(this, bytes, 0);
    if (sent < bytes.length) {
      // A copy: relays hand us chunks that are valid during the call only.
      this.#pending.push(Buffer.from(bytes.subarray(sent)));
      this.#pendingBytes += bytes.length - sent;
      this.#wantsDrain = true;
      return false;
    }
    if (!this.#owner.congested(this)) return true;
    this.#wantsDrain = true;
    return false;
  }

  /** Called by the connection when windows or output have room again. */
  writable(): void {
    while (!this.#closed && this.#pending.length > 0) {
      const bytes = this.#pending[0] as Uint8Array;
      const sent = this.#owner.sendData(this, bytes, 0);
      this.#pendingBytes -= sent;
      if (sent < bytes.length) {
        if (sent > 0) this.#pending[0] = bytes.subarray(sent);
        return;
      }
      this.#pending.shift();
    }
    if (this.#closed) return;
    if (this.#localEnd === "ending") this.#sendEnd();
    else if (this.#wantsDrain && !this.#owner.congested(this)) {
      this.#wantsDrain = false;
      this.#handler.drain();
    }
  }

  end(): void {
    if (this.#closed || this.#localEnd !== "open") return;
    this.#localEnd = "ending";
    if (this.#pending.length === 0) this.#sendEnd();
  }

  destroy(options: { readonly error?: Error; readonly reset?: boolean } = {}): void {
    if (this.#closed) return;
    // A close without reset is an orderly end of our side, after which we listen no longer.
    if (options.reset !== true && this.#localEnd === "open") this.#owner.sendEnd(this);
    this.#owner.sendReset(
      this,
      options.reset === true || this.#pendingBytes > 0 ? errorCode.cancel : errorCode.noError,
    );
    this.#close(options.error);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#deliverQueue();
  }

  /** A piece of DATA for us; valid during the call. False when the peer sent more than its window. */
  receive(chunk: Buffer, endStream: boolean): boolean {
    if (this.#closed) return true;
    if (this.#remoteEnd !== "open") return false;
    this.#receiveWindow -= chunk.length;
    if (this.#receiveWindow < 0) return false;
    if (endStream) this.#remoteEnd = "queued";
    if (this.#paused || this.#delivering || this.#queue.length > 0) {
      if (chunk.length > 0) {
        this.#queue.push(Buffer.from(chunk));
        this.#owner.queuedBytesChanged(chunk.length);
      }
    } else if (chunk.length > 0) this.#deliver(chunk);
    if (endStream) this.#deliverQueue();
    return true;
  }

  /** The peer got its window back for these bytes. */
  credited(bytes: number): void {
    this.#receiveWindow += bytes;
    this.uncredited = 0;
  }

  /** The peer, or the connection, ended the stream. */
  abort(error: Error | undefined): void {
    if (!this.#closed) this.#close(error);
  }

  /** RST_STREAM from the peer. */
  resetByPeer(code: number): void {
    if (this.#closed) return;
    if (code === errorCode.noError && this.#remoteEnd !== "open") {
      // The peer has said all, and wants no more of us: what it said still counts.
      this.#localEnd = "ended";
      this.#pending = [];
      this.#pendingBytes = 0;
      this.#finish();
    } else if (code === errorCode.refusedStream)
      this.#close(transientError("tunnel-refused", "the peer refused the tunnel"));
    else this.#close(transientError("tunnel-reset", `the peer reset the tunnel (${errorCodeName(code)})`));
  }

  #deliver(chunk: Buffer): void {
    this.#delivering = true;
    this.#received += chunk.length;
    this.#handler.data(chunk);
    this.#delivering = false;
    if (!this.#closed) this.#owner.creditStream(this, chunk.length);
  }

  #deliverQueue(): void {
    if (this.#delivering) return;
    while (!this.#paused && !this.#closed) {
      const chunk = this.#queue.shift();
      if (chunk === undefined) break;
      this.#owner.queuedBytesChanged(-chunk.length);
      this.#deliver(chunk);
    }
    if (this.#closed || this.#queue.length > 0 || this.#remoteEnd !== "queued") return;
    this.#remoteEnd = "ended";
    this.#handler.end();
    this.#finish();
  }

  #sendEnd(): void {
    this.#localEnd = "ended";
    this.#owner.sendEnd(this);
    this.#finish();
  }

  #finish(): void {
    if (this.#localEnd === "ended" && this.#remoteEnd === "ended") this.#close(undefined);
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return;
    this.#closed = true;
    let queued = 0;
    for (const chunk of this.#queue) queued += chunk.length;
    this.#queue = [];
    this.#pending = [];
    this.#pendingBytes = 0;
    if (queued > 0) this.#owner.queuedBytesChanged(-queued);
    this.#owner.streamEnded(this);
    this.#closeError = error;
    // Never inside the caller's own call.
    queueMicrotask(() => {
      this.#closeDelivered = true;
      this.#handler.close(error);
    });
  }
}
