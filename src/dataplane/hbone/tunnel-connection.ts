import { transientError, type Clock, type SerinError } from "../../base/index.ts";
import { withHeaderInFront, type ByteStream, type SocketAddress } from "../../net/index.ts";
import {
  dataHeadBytes,
  errorCode,
  type Http2Session,
  putDataHead,
  requestFieldsFault,
  type FloodReason,
  type Http2ConnectionError,
} from "../../wire/http2/index.ts";
import { hboneLimits } from "./limits.ts";
import { SessionCarrier, type CarrierUser } from "./session-carrier.ts";
import { TunnelStream, type TunnelOwner } from "./tunnel-stream.ts";

const requestPseudoFields = [":method", ":scheme", ":path", ":authority"];

export interface TunnelConnectionHandler {
  /** Called when a client has opened a stream with a request. Only servers get this call. */
  opened?(stream: TunnelStream, fields: readonly string[], endStream: boolean): void;
  /** Called for further HEADERS of a live stream: the response to our request, or trailers. */
  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void;
  /** Called when the peer accepts no more streams. */
  goaway?(): void;
  /** Called when the last stream has ended. */
  idle?(): void;
  /** `cutOff` is set if we ended the connection with ENHANCE_YOUR_CALM. */
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
 * HTTP/2 for tunnels over one connection, in either role. It checks the peer with PINGs even while it is idle. Any
 * workload of the mesh can be a peer, so flooding is limited as for HTTP requests.
 */
export class TunnelConnection implements CarrierUser, TunnelOwner {
  readonly peerIdentity: string;
  readonly #server: boolean;
  readonly #handler: TunnelConnectionHandler;
  readonly #clock: Clock;
  readonly #carrier: SessionCarrier<TunnelStream>;
  readonly session: Http2Session<TunnelStream>;
  #pingTimer: Disposable | undefined;

  constructor({ peerIdentity, server, stream, handler, clock }: TunnelConnectionOptions) {
    this.peerIdentity = peerIdentity;
    this.#server = server;
    this.#handler = handler;
    this.#clock = clock;
    this.#carrier = new SessionCarrier(this, {
      stream,
      clock,
      server,
      limits: hboneLimits,
      streamsName: "tunnels",
      maxStreams: server ? hboneLimits.acceptedStreams : hboneLimits.pooledStreams,
      pingIntervalMs: hboneLimits.pingIntervalMs,
      pingTimeoutMs: hboneLimits.pingTimeoutMs,
      pingsWhenIdle: true,
    });
    this.session = this.#carrier.session;
  }

  start(): void {
    this.#armPing();
    this.#carrier.start();
  }

  get local(): SocketAddress {
    return this.#carrier.stream.local;
  }
  get remote(): SocketAddress {
    return this.#carrier.stream.remote;
  }
  get closed(): boolean {
    return this.session.over;
  }
  get activeStreams(): number {
    return this.session.activeStreams;
  }
  get draining(): boolean {
    return this.session.draining;
  }
  get takesStream(): boolean {
    return this.session.takesStream;
  }

  /** Opens a stream with an encoded head, which is copied. Only clients may call it. */
  open(head: Buffer): TunnelStream {
    const stream = this.#begin(this.session.claimId());
    this.session.sendBlock(stream, head, false);
    return stream;
  }

  /** Accepts no new streams, and notifies the peer in two steps. The connection ends with its last stream. */
  drain(): void {
    this.#carrier.drain();
  }

  /** Notifies the peer, and ends the connection at once. */
  leave(error: Error): void {
    this.session.sayGoaway();
    this.#carrier.frames.flush();
    this.destroy(error);
  }

  destroy(error: Error): void {
    this.#carrier.destroy(error);
  }

  // ---- TunnelOwner

  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    this.#handler.headers(stream, fields, endStream);
  }

  unsent(difference: number): void {
    this.#carrier.unsent(difference);
  }

  // ---- CarrierUser

  /**
   * The minimum size of a chunk that is offered to {@link sendInPlace}. Every chunk of the only stream is offered: no
   * bytes of other streams would join it by the end of the turn, and the wait costs more than a separate write. While
   * there are several streams, no chunk is offered.
   */
  get inPlaceBytes(): number {
    return this.activeStreams === 1 ? 1 : Infinity;
  }

  /**
   * Writes a chunk of the only stream at once, without copying it into the output first: TLS encrypts it from where it
   * was read. Returns false if there are several streams, because joining their chunks into one write saves more.
   */
  sendInPlace(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean {
    const { stream, frames } = this.#carrier;
    const isLone = this.activeStreams === 1 && frames.length === 0 && stream.bufferedBytes === 0;
    if (!isLone || bytes.length > frameBytes) return false;
    const frame = withHeaderInFront(stream, bytes, dataHeadBytes);
    if (frame === undefined) return false;
    putDataHead(frame, streamId, bytes.length, endStream);
    this.#carrier.wrote(stream.write(frame));
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

  settingsChanged(): void {
    // Nothing to do: the limit of open streams is read at each use.
  }

  peerLeaves(lastStreamId: number, _code: number, reason: string): void {
    this.#handler.goaway?.();
    if (this.#server) return;
    for (const stream of this.session.streams) {
      if (stream.id > lastStreamId)
        stream.abort(transientError("tunnel-refused", `the peer ${reason} and did not accept the tunnel`));
    }
  }

  failed({ message }: Http2ConnectionError): void {
    this.#carrier.close(transientError("http2-failed", `the peer violated HTTP/2: ${message}`));
  }

  inputEnded(): void {
    const hadStreams = this.activeStreams > 0;
    this.#carrier.end();
    this.#carrier.close(hadStreams ? connectionClosed("the peer closed the connection") : undefined);
  }

  unanswered(): void {
    this.destroy(
      transientError("tunnel-broken", `the peer did not answer a PING within ${hboneLimits.pingTimeoutMs / 1000} s`),
    );
  }

  connectionClosed(error: Error | undefined): void {
    this.#pingTimer?.[Symbol.dispose]();
    for (const stream of this.session.streams) stream.abort(error ?? connectionClosed("the connection was closed"));
    this.#handler.connectionClosed(error, this.session.floodReason);
  }

  #begin(streamId: number): TunnelStream {
    const stream = new TunnelStream(this, streamId);
    this.session.adopt(stream);
    return stream;
  }

  #armPing(): void {
    this.#pingTimer = this.#clock.after(hboneLimits.pingIntervalMs, () => {
      if (this.closed) return;
      this.session.sweep(this.#clock.steadyMs());
      this.#armPing();
    });
  }
}

function connectionClosed(message: string): SerinError {
  return transientError("connection-closed", message);
}
