import { transientError, type Clock } from "../../base/index.ts";
import { inLaterTurn, withHeaderInFront, type ByteStream, type SocketAddress } from "../../net/index.ts";
import {
  dataHeadBytes,
  errorCode,
  errorCodeName,
  Http2Session,
  putDataHead,
  requestFieldsFault,
  type FloodReason,
  type FrameWriter,
  type Http2ConnectionError,
  type SessionPort,
} from "../../wire/http2/index.ts";
import { cutOffLater } from "./cut-off-later.ts";
import { heldInput, type InputHolder } from "./held-input.ts";
import { hboneLimits } from "./limits.ts";
import { TunnelStream, type TunnelOwner } from "./tunnel-stream.ts";
import { TurnOutput } from "./turn-output.ts";

/** A smaller chunk is not written separately if there are several streams: joining chunks into one write costs less. */
const largeBytes = 32_768;
const requestPseudoFields = [":method", ":scheme", ":path", ":authority"];

export interface TunnelConnectionHandler {
  /** Called when a client has opened a stream with a request. Only for servers. */
  opened?(stream: TunnelStream, fields: readonly string[], endStream: boolean): void;
  /** Called for further HEADERS of a live stream: the answer to ours, or trailers. */
  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void;
  /** Called when the peer accepts no more streams. */
  goaway?(): void;
  /** Called when the last stream has ended. */
  idle?(): void;
  /** `cutOff` is set if we ended it with ENHANCE_YOUR_CALM. */
  connectionClosed(error: Error | undefined, cutOff: FloodReason | undefined): void;
}

export interface TunnelConnectionOptions {
  readonly stream: ByteStream;
  /** The peer's SPIFFE id. Empty if it has not proven one. */
  readonly peerIdentity: string;
  readonly server: boolean;
  readonly handler: TunnelConnectionHandler;
  readonly clock: Clock;
}

/**
 * HTTP/2 for tunnels over one connection, in either role. Its liveness is checked even while it is idle. Any workload
 * of the mesh can be a peer, so flooding is limited in the same way as for HTTP requests.
 */
export class TunnelConnection implements SessionPort, TunnelOwner, InputHolder {
  readonly peerIdentity: string;
  readonly #stream: ByteStream;
  readonly #server: boolean;
  readonly #handler: TunnelConnectionHandler;
  readonly #clock: Clock;
  readonly #output: TurnOutput;
  readonly session: Http2Session<TunnelStream>;
  /** The received bytes that wait for readers, and our bytes that wait for the peer. */
  #inputBytes = 0;
  #unsentBytes = 0;
  #isClosed = false;
  /** Whether the kernel has not accepted all of the bytes that were written in place. */
  #isBlocked = false;
  #goawayGrace: Disposable | undefined;
  #pingTimer: Disposable | undefined;
  #closeGrace: Disposable | undefined;

  constructor(options: TunnelConnectionOptions) {
    this.peerIdentity = options.peerIdentity;
    this.#stream = options.stream;
    this.#server = options.server;
    this.#handler = options.handler;
    this.#clock = options.clock;
    this.session = new Http2Session(this, {
      server: options.server,
      limits: hboneLimits,
      streamsName: "tunnels",
      nowMs: options.clock.steadyMs(),
      maxStreams: options.server ? hboneLimits.acceptedStreams : hboneLimits.pooledStreams,
      pingIntervalMs: hboneLimits.pingIntervalMs,
      pingTimeoutMs: hboneLimits.pingTimeoutMs,
      pingsWhenIdle: true,
    });
    this.#output = new TurnOutput({
      stream: options.stream,
      highWaterBytes: hboneLimits.outputHighWaterBytes,
      onRoom: () => this.session.wake(),
    });
  }

  /** Sends the preface and starts to read. */
  start(): void {
    this.session.start();
    this.#stream.setHandler({
      data: (chunk) => this.#read(chunk),
      end: () => this.#inputEnded(),
      drain: () => this.#drained(),
      close: (error) => {
        this.#closeGrace?.[Symbol.dispose]();
        this.#close(error);
      },
    });
    this.#armPing();
    this.#stream.resume();
  }

  get local(): SocketAddress {
    return this.#stream.local;
  }
  get remote(): SocketAddress {
    return this.#stream.remote;
  }
  get peer(): string {
    return this.remote.address;
  }
  get heldStreams(): Iterable<TunnelStream> {
    return this.session.streams;
  }
  get closed(): boolean {
    return this.#isClosed || this.session.over;
  }
  get activeStreams(): number {
    return this.session.activeStreams;
  }
  /** Whether no more streams are wanted. */
  get draining(): boolean {
    return this.session.draining;
  }
  /** Whether a client may open another stream now. */
  get takesStream(): boolean {
    return this.session.takesStream;
  }

  /** Opens a stream with an encoded head, which is copied. Only for clients. */
  open(head: Buffer): TunnelStream {
    const stream = this.#begin(this.session.claimId());
    this.session.sendBlock(stream, head, false);
    return stream;
  }

  /** Accepts no new streams, and notifies the peer in two steps. The connection ends with its last stream. */
  drain(): void {
    if (this.closed || this.#goawayGrace !== undefined) return;
    this.session.drain();
    if (this.#server) this.#goawayGrace = this.#clock.after(hboneLimits.goawayGraceMs, () => this.session.refuseMore());
  }

  /** Notifies the peer, and ends the connection at once. */
  leave(error: Error): void {
    this.session.sayGoaway();
    this.#output.flush();
    this.destroy(error);
  }

  /** Ends the connection at once. Streams receive the error. */
  destroy(error: Error): void {
    if (this.#isClosed) return;
    this.#stream.destroy();
    this.#close(error);
  }

  // ---- TunnelOwner

  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    this.#handler.headers(stream, fields, endStream);
  }

  // ---- SessionPort

  output(): FrameWriter {
    return this.#output.writer();
  }

  isFull(): boolean {
    return this.#isBlocked || this.#output.isFull;
  }

  /**
   * The bytes of a lone stream leave at once. Nothing would join them by the end of the turn, and waiting for it costs
   * more than preparing the write.
   */
  get inPlaceBytes(): number {
    return this.activeStreams === 1 ? 1 : largeBytes;
  }

  /**
   * TLS encrypts a large chunk from where it was read, so it is not copied into the output first. If there are several
   * streams, joining their chunks to one write saves more than that.
   */
  sendInPlace(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean {
    const isLone = this.activeStreams === 1 && this.#output.length === 0 && this.#stream.bufferedBytes === 0;
    if (!isLone || bytes.length > frameBytes) return false;
    const frame = withHeaderInFront(this.#stream, bytes, dataHeadBytes);
    if (frame === undefined) return false;
    putDataHead(frame, streamId, bytes.length, endStream);
    if (!this.#stream.write(frame)) this.#isBlocked = true;
    return true;
  }

  opened(streamId: number, fields: readonly string[], endStream: boolean): void {
    if (requestFieldsFault(fields, requestPseudoFields, {}) !== undefined) {
      this.session.refuse(streamId, errorCode.protocolError);
      return;
    }
    const stream = this.#begin(streamId);
    stream.remoteEnded = endStream;
    this.#handler.opened?.(stream, fields, endStream);
  }

  streamEnded(): void {
    if (this.activeStreams === 0 && !this.closed) this.#handler.idle?.();
  }

  unsent(difference: number): void {
    this.#unsentBytes += difference;
    heldInput.changed(this, this.#inputBytes + this.#unsentBytes);
  }

  inputHeld(bytes: number): void {
    this.#inputBytes = bytes;
    heldInput.changed(this, bytes + this.#unsentBytes);
  }

  settingsChanged(): void {
    // Users read the limit of open streams each time, so a change needs no action.
  }

  peerLeaves(lastStreamId: number, code: number, debug: string): void {
    this.#handler.goaway?.();
    if (this.#server) return;
    const reason =
      code === errorCode.noError
        ? "is going away"
        : `ended the connection (${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`})`;
    for (const stream of this.session.streams) {
      if (stream.id > lastStreamId)
        stream.abort(transientError("tunnel-refused", `the peer ${reason} and did not accept the tunnel`));
    }
  }

  finished(): void {
    this.#output.whenEmpty(() => this.#end(hboneLimits.flushTimeoutMs));
  }

  failed({ message }: Http2ConnectionError): void {
    this.#output.flush();
    this.#end();
    this.#close(transientError("http2-failed", `the peer violated HTTP/2: ${message}`));
  }

  deferred(waitMs: number): void {
    inLaterTurn(this.#stream, { clock: this.#clock, waitMs }, () => {
      this.session.proceed(this.#clock.steadyMs());
      this.#requireReader();
      return !this.session.isDeferred;
    });
  }

  sendsOn(): void {
    this.#stream.pause();
  }

  unanswered(): void {
    this.destroy(
      transientError("tunnel-broken", `the peer did not answer a PING within ${hboneLimits.pingTimeoutMs / 1000} s`),
    );
  }

  #begin(streamId: number): TunnelStream {
    const stream = new TunnelStream(this, streamId);
    this.session.adopt(stream);
    return stream;
  }

  #read(chunk: Buffer): void {
    this.session.receive(chunk, this.#clock.steadyMs());
    this.#requireReader();
  }

  #drained(): void {
    this.#isBlocked = false;
    this.#output.drained();
  }

  #requireReader(): void {
    if (this.#output.length > hboneLimits.maxOutputBytes)
      this.session.cutOff("unread_answers", "the peer does not read our answers");
  }

  #armPing(): void {
    this.#pingTimer = this.#clock.after(hboneLimits.pingIntervalMs, () => {
      if (this.closed) return;
      this.session.sweep(this.#clock.steadyMs());
      this.#armPing();
    });
  }

  #inputEnded(): void {
    this.#stream.end();
    this.#close(
      this.activeStreams === 0 ? undefined : transientError("connection-closed", "the peer closed the connection"),
    );
  }

  /**
   * Waits before closing. Otherwise the kernel would answer data in flight from the peer with a reset, and the peer
   * would never read our last frames. `flushMs` is how long a slow peer may take for the bytes that the kernel has not
   * taken yet.
   */
  #end(flushMs = 0): void {
    this.session.close();
    this.#output.stop();
    this.#pingTimer?.[Symbol.dispose]();
    this.#stream.end();
    this.#closeGrace?.[Symbol.dispose]();
    this.#closeGrace = cutOffLater(this.#stream, this.#clock, { graceMs: hboneLimits.closeGraceMs, flushMs });
  }

  #close(error: Error | undefined): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.session.close();
    this.#output.stop();
    this.#pingTimer?.[Symbol.dispose]();
    this.#goawayGrace?.[Symbol.dispose]();
    for (const stream of this.session.streams)
      stream.abort(error ?? transientError("connection-closed", "the connection was closed"));
    this.#handler.connectionClosed(error, this.session.floodReason);
  }
}
