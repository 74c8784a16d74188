import { systemClock, type Clock } from "../../base/index.ts";
import type { ByteStream, SecureStream } from "../../net/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode, type FloodReason } from "../../wire/http2/index.ts";
import type { HboneRequest, HboneServerConnection } from "./hbone-types.ts";
import { pairsOf } from "./request-fields.ts";
import { TunnelConnection, type TunnelConnectionHandler } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

export interface ServeHboneOptions {
  /** Called for each CONNECT. Answers the request now or later. */
  onConnect(request: HboneRequest): void;
  /** Called when the peer was cut off for flooding. */
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
    this.#connection = new TunnelConnection({ stream, server: true, handler: this, clock });
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

  /** A second header block contains trailers, which can only mean that the peer has ended. */
  headers(stream: TunnelStream, _fields: readonly string[], endStream: boolean): void {
    if (endStream) stream.endReceived();
  }

  opened(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    const pairs = pairsOf(fields);
    const pseudo = (name: string) => pairs.find(([key]) => key === name)?.[1];
    if (pseudo(":method") !== "CONNECT") {
      this.#reject(stream, 400, []);
      return;
    }
    const withdrawn = new AbortController();
    stream.setHandler({
      data() {},
      end() {},
      drain() {},
      close: () => withdrawn.abort(new Error("the peer took the request back")),
    });
    if (endStream) stream.endReceived();
    this.#onConnect({
      authority: pseudo(":authority") ?? "",
      headers: pairs.filter(([key]) => !key.startsWith(":")),
      peerIdentity: this.#connection.peerIdentity,
      local: this.#connection.local,
      remote: this.#connection.remote,
      signal: withdrawn.signal,
      accept: (headers = []) => this.#accept(stream, headers),
      reject: (status, headers = []) => this.#reject(stream, status, headers),
    });
  }

  #accept(stream: TunnelStream, headers: Headers): ByteStream {
    if (!stream.closed) this.#connection.session.sendHeaders(stream, [":status", "200", ...headers.flat()], false);
    return stream;
  }

  #reject(stream: TunnelStream, status: number, headers: Headers): void {
    if (stream.closed) return;
    const { session } = this.#connection;
    session.sendHeaders(stream, [":status", String(status), ...headers.flat()], true);
    session.reset(stream, errorCode.noError);
    stream.abort(undefined);
  }

  connectionClosed(_error: Error | undefined, cutOff: FloodReason | undefined): void {
    if (cutOff !== undefined) this.#onCutOff?.(cutOff);
    this.#resolveClosed();
  }
}
