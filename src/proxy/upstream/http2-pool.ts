import type { Clock } from "../../base/index.ts";
import { http2Limits } from "../http2/http2-limits.ts";
import type { UpstreamStream } from "./endpoint.ts";
import type { PoolUser } from "./pool-user.ts";
import type { Http2Settings } from "./http2-settings.ts";
import { Http2UpstreamConnection, type Http2ConnectionHome } from "./http2-upstream-connection.ts";

export interface Http2PoolOptions {
  readonly clock: Clock;
  readonly http2?: Http2Settings | undefined;
  readonly onClosed: () => void;
  /** Called when there may be room for waiting users. */
  readonly onRoom: () => void;
}

/** How long requests wait for a server that allows no streams, before they try another connection, in milliseconds. */
const heldOffMs = 1000;

/** The HTTP/2 connections to one endpoint. Another one opens when the present ones are full. */
export class Http2Pool implements Http2ConnectionHome {
  readonly #settings: Http2Settings | undefined;
  readonly #clock: Clock;
  readonly #onClosed: () => void;
  readonly #onRoom: () => void;
  readonly #connections = new Set<Http2UpstreamConnection>();
  /** The stream limit that the endpoint announced last. Undefined until it has announced one. */
  #knownStreams: number | undefined;
  /** When requests began to wait for a server that allows no streams. */
  #heldOffSinceMs: number | undefined;
  /** Closes a connection after this many requests. 0 means no limit. */
  maxRequestsPerConnection = 0;

  constructor(options: Http2PoolOptions) {
    this.#settings = options.http2;
    this.#clock = options.clock;
    this.#onClosed = options.onClosed;
    this.#onRoom = options.onRoom;
  }

  get openConnections(): number {
    return this.#connections.size;
  }

  /** The number of connections that accept streams now, or will after some of their streams have ended. */
  get usableConnections(): number {
    let usable = 0;
    for (const connection of this.#connections) if (!connection.finished) usable += 1;
    return usable;
  }

  adopt(stream: UpstreamStream): void {
    // Assume at least one stream: a server that allowed none before may allow some now. If it still allows none, it
    // refuses the stream.
    const assumed = this.#knownStreams === undefined ? undefined : Math.max(1, this.#knownStreams);
    const connection = new Http2UpstreamConnection(stream, this, this.#clock, this.#settings, assumed);
    this.#connections.add(connection);
    connection.start();
  }

  /** The number of concurrent requests that a new connection is expected to accept. */
  get expectedStreams(): number {
    // Expect one stream even after a limit of 0, which may not hold for the next connection.
    const known = Math.min(
      this.#knownStreams || http2Limits.openedStreamsBeforeSettings,
      this.#settings?.maxConcurrentStreams ?? Infinity,
    );
    return Math.max(1, Math.min(known, this.maxRequestsPerConnection || Infinity));
  }

  /**
   * Whether an open connection's server allows no streams for now. Requests then wait until it allows some, or until
   * {@link replaceHeldOff} ends the connection.
   */
  get isHeldOff(): boolean {
    return this.#knownStreams === 0 && [...this.#connections].some(holdsOff);
  }

  /**
   * If requests have waited for {@link heldOffMs}, ends the connections that allow no streams, so that another
   * connection opens. Behind a virtual address, the new connection may reach another server. Envoy opens a connection
   * for each waiting request instead.
   */
  replaceHeldOff(nowMs: number, isAwaited: boolean): void {
    if (!isAwaited || !this.isHeldOff) {
      this.#heldOffSinceMs = undefined;
      return;
    }
    this.#heldOffSinceMs ??= nowMs;
    if (nowMs - this.#heldOffSinceMs < heldOffMs) return;
    this.#heldOffSinceMs = undefined;
    for (const connection of this.#connections) if (holdsOff(connection)) connection.drain();
    this.#onRoom();
  }

  get hasRoom(): boolean {
    for (const connection of this.#connections) if (connection.takesStream) return true;
    return false;
  }

  /** Assigns a request to a connection with room. Returns false if there is none. */
  serve(user: PoolUser): boolean {
    for (const connection of this.#connections) {
      if (!connection.takesStream) continue;
      const channel = connection.channel();
      if (this.maxRequestsPerConnection > 0 && connection.requests >= this.maxRequestsPerConnection) connection.drain();
      user.connected(channel);
      return true;
    }
    return false;
  }

  sweep(nowMs: number, idleTimeoutMs: number, maxDurationMs = Infinity): void {
    for (const connection of this.#connections) {
      connection.sweep(nowMs);
      if (
        connection.retiring ||
        (connection.activeStreams === 0 && nowMs - connection.idleSinceMs >= idleTimeoutMs) ||
        nowMs - connection.openedAtMs >= maxDurationMs
      )
        connection.drain();
    }
  }

  drain(): void {
    for (const connection of this.#connections) connection.drain();
  }

  changed(connection: Http2UpstreamConnection): void {
    this.#knownStreams = connection.maxStreams ?? this.#knownStreams;
    this.#onRoom();
  }

  forget(connection: Http2UpstreamConnection): void {
    if (this.#connections.delete(connection)) this.#onClosed();
  }
}

/** Whether the server of the connection allows no streams for now, although the connection could accept some later. */
function holdsOff({ finished, maxStreams }: Http2UpstreamConnection): boolean {
  return !finished && (maxStreams ?? 0) === 0;
}
