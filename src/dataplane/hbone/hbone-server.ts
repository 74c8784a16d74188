import { systemClock, type Clock } from "../../base/index.ts";
import type { ByteStream, SecureStream } from "../../net/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode, maxStreamId } from "../../wire/http2/index.ts";
import type { HboneRequest, HboneServerConnection } from "./hbone-types.ts";
import { hboneLimits } from "./limits.ts";
import { pairsOf } from "./request-fields.ts";
import { TunnelConnection, type HboneCutOff, type TunnelConnectionHandler } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

export interface ServeHboneOptions {
  /** Called for each CONNECT; it answers the request now or later. */
  onConnect(request: HboneRequest): void;
  /** Called when the peer was cut off for its floods. */
  readonly onCutOff?: (reason: HboneCutOff) => void;
  readonly clock?: Clock;
}

/** Serves HBONE on a TLS connection whose handshake (ALPN h2) is done. Requests that are no CONNECT get 400. */
export function serveHbone(stream: SecureStream, options: ServeHboneOptions): HboneServerConnection {
  return new HboneServer(stream, options);
}

class HboneServer implements HboneServerConnection, TunnelConnectionHandler {
  readonly closed: Promise<void>;
  readonly #connection: TunnelConnection;
  readonly #clock: Clock;
  readonly #onConnect: (request: HboneRequest) => void;
  readonly #onCutOff: ((reason: HboneCutOff) => void) | undefined;
  /** Streams whose request has come, and when; undefined once it was answered. */
  readonly #requestedAtMs = new WeakMap<TunnelStream, number | undefined>();
  #requests = 0;
  #takenBack = 0;
  #resolveClosed: () => void = () => undefined;
  #state: "serving" | "announced" | "draining" = "serving";

  constructor(stream: SecureStream, options: ServeHboneOptions) {
    this.#clock = options.clock ?? systemClock;
    this.#onCutOff = options.onCutOff;
    this.#onConnect = (request) => options.onConnect(request);
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    this.#connection = new TunnelConnection({ stream, server: true, handler: this, clock: this.#clock });
    this.#connection.start();
  }

  get activeStreams(): number {
    return this.#connection.activeStreams;
  }
  get peerIdentity(): string {
    return this.#connection.peerIdentity;
  }

  drain(): void {
    if (this.#state !== "serving" || this.#connection.closed) return;
    this.#state = "announced";
    // First: no new streams please. Streams that are on their way are still taken, until the peer has read this.
    this.#connection.sendGoaway(maxStreamId, errorCode.noError);
    this.#connection.roundTrip(() => this.#finishDrain());
    this.#clock.after(hboneLimits.goawayGraceMs, () => this.#finishDrain());
  }

  close(): void {
    this.#connection.sendGoaway(this.#connection.lastPeerId, errorCode.noError);
    this.#connection.flush();
    this.#connection.destroy(new Error("the tunnel's connection was closed here"));
  }

  headers(stream: TunnelStream, fields: string[], endStream: boolean): void {
    if (stream.closed) return;
    // A second block is trailers: all that they can say here is that the peer has ended.
    if (this.#requestedAtMs.has(stream)) {
      if (endStream) stream.receive(Buffer.alloc(0), true);
      return;
    }
    if (this.#state === "draining") {
      this.#connection.sendReset(stream, errorCode.refusedStream);
      stream.abort(undefined);
      return;
    }
    this.#request(stream, fields, endStream);
  }

  #request(stream: TunnelStream, fields: string[], endStream: boolean): void {
    const pairs = pairsOf(fields);
    const pseudo = (name: string) => pairs.find(([key]) => key === name)?.[1];
    this.#requests += 1;
    this.#requestedAtMs.set(stream, this.#clock.steadyMs());
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
    if (endStream) stream.receive(Buffer.alloc(0), true);
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
    this.#requestedAtMs.set(stream, undefined);
    if (!stream.closed) this.#connection.sendHeaders(stream, [":status", "200", ...headers.flat()], false);
    return stream;
  }

  #reject(stream: TunnelStream, status: number, headers: Headers): void {
    if (stream.closed) return;
    this.#connection.sendHeaders(stream, [":status", String(status), ...headers.flat()], true);
    this.#connection.sendReset(stream, errorCode.noError);
    stream.abort(undefined);
  }

  goaway(): void {
    // The client opens no more streams; what it has goes on.
  }

  /** Some requests are taken back before they were answered, but not nearly all, and not at once. */
  resetByPeer(stream: TunnelStream): void {
    const atMs = this.#requestedAtMs.get(stream);
    if (atMs === undefined || this.#clock.steadyMs() - atMs >= hboneLimits.prematureResetMs) return;
    this.#takenBack += 1;
    if (this.#requests < hboneLimits.prematureResetStreams || this.#takenBack * 2 <= this.#requests) return;
    throw this.#connection.cutOff("resets", "too many requests were taken back");
  }

  idle(): void {
    if (this.#state === "draining") this.#connection.end();
  }

  connectionClosed(_error: Error | undefined, cutOff: HboneCutOff | undefined): void {
    if (cutOff !== undefined) this.#onCutOff?.(cutOff);
    this.#resolveClosed();
  }

  #finishDrain(): void {
    if (this.#state !== "announced" || this.#connection.closed) return;
    this.#state = "draining";
    this.#connection.sendGoaway(this.#connection.lastPeerId, errorCode.noError);
    if (this.#connection.activeStreams === 0) this.#connection.end();
  }
}
