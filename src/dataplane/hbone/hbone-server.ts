import { systemClock, type Clock } from "../../base/index.ts";
import type { SecureStream } from "../../net/index.ts";
import type { FloodReason } from "../../wire/http2/index.ts";
import { ArrivedConnect } from "./arrived-connect.ts";
import type { HboneRequest, HboneServerConnection } from "./hbone-types.ts";
import { fieldOf } from "./request-fields.ts";
import { TunnelConnection, type TunnelConnectionHandler } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

const badRequest = 400;

export interface ServeHboneOptions {
  /** Called for each CONNECT. It may answer the request later. */
  onConnect(request: HboneRequest): void;
  /** Called when the peer was disconnected for flooding. */
  readonly onCutOff?: (reason: FloodReason) => void;
  readonly clock?: Clock;
}

/** Serves HBONE on a TLS connection after its handshake (ALPN h2). Requests other than CONNECT get 400. */
export function serveHbone(stream: SecureStream, options: ServeHboneOptions): HboneServerConnection {
  return new HboneServer(stream, options);
}

class HboneServer implements HboneServerConnection, TunnelConnectionHandler {
  readonly closed: Promise<void>;
  readonly #connection: TunnelConnection;
  readonly #onConnect: (request: HboneRequest) => void;
  readonly #onCutOff: ((reason: FloodReason) => void) | undefined;
  #resolveClosed: () => void = () => undefined;

  constructor(stream: SecureStream, options: ServeHboneOptions) {
    const clock = options.clock ?? systemClock;
    this.#onCutOff = options.onCutOff;
    this.#onConnect = (request) => options.onConnect(request);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#connection = new TunnelConnection({
      stream,
      peerIdentity: stream.peerIdentity,
      server: true,
      handler: this,
      clock,
    });
    this.#connection.start();
  }

  get activeStreams(): number {
    return this.#connection.activeStreams;
  }
  get peerIdentity(): string {
    return this.#connection.peerIdentity;
  }

  drain(): void {
    this.#connection.drain();
  }

  close(): void {
    this.#connection.leave(new Error("the tunnel's connection was closed here"));
  }

  /** A second header block contains trailers. In a tunnel, they only mean that the peer has ended its side. */
  headers(stream: TunnelStream, _fields: readonly string[], endStream: boolean): void {
    if (endStream) stream.endReceived();
  }

  opened(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    const request = new ArrivedConnect(this.#connection, stream, fields);
    if (fieldOf(fields, ":method") !== "CONNECT") {
      request.reject(badRequest);
      return;
    }
    stream.setHandler(request);
    if (endStream) stream.endReceived();
    this.#onConnect(request);
  }

  connectionClosed(_error: Error | undefined, cutOff: FloodReason | undefined): void {
    if (cutOff !== undefined) this.#onCutOff?.(cutOff);
    this.#resolveClosed();
  }
}
