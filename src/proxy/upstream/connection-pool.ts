import { contained, LinkedList, type Clock } from "../../base/index.ts";
import { hasUnreadInput } from "../../net/index.ts";
import { Budget } from "./circuit-breaker.ts";
import type { ConnectionInfo, OriginalSource } from "../terms/connection-info.ts";
import {
  carriesHttp2,
  type ConnectContext,
  type EndpointConfig,
  type EndpointConnector,
  type UpstreamStream,
} from "./endpoint.ts";
import { Http2Pool } from "./http2-pool.ts";
import type { Http2Settings } from "./http2-settings.ts";
import { connectFailureOf, type ConnectFailure, type PoolUser, type WireProtocol } from "./pool-user.ts";
import { UpstreamConnection, type ConnectionHome } from "./upstream-connection.ts";

export type { ConnectFailure, PoolUser, WireProtocol };

export interface PoolLimits {
  readonly connectTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  /** The number of requests after which a connection closes. 0 means no limit. */
  readonly maxRequestsPerConnection: number;
  /** The idle time after which a connection closes, in milliseconds. */
  readonly idleTimeoutMs: number;
  /** The age at which a connection gets no new requests. It closes after its last one. Absent means no limit. */
  readonly maxDurationMs?: number;
}

/** The maximum number of requests that wait for one endpoint, whatever the configuration allows. */
const hardMaxPendingRequests = 16_384;
/** How long a connection stays open for other requests if the request for which it was opened has ended meanwhile. */
const unusedTimeoutMs = 5000;
/**
 * The idle time after which a connection is checked before it carries a request that must not be sent twice. The peer
 * may have closed the connection without a busy event loop having noticed it. The check is a system call, so it is
 * skipped for a connection that was in use just now.
 */
const trustedIdleMs = 10;

/** How long requests wait for the first connection to an endpoint that is no longer configured. */
const removedWaitMs = 1000;

export interface PoolCounters {
  connectionsOpened: number;
  connectFailures: number;
  /** The number of connections that did not open in time. They are counted in `connectFailures` too. */
  connectTimeouts: number;
  connectionsClosed: number;
}

export interface PoolBreaker {
  readonly connections: Budget;
  readonly pending: Budget;
}

export interface ConnectionPoolOptions {
  readonly endpoint: EndpointConfig;
  readonly connector: EndpointConnector;
  readonly clock: Clock;
  readonly limits: PoolLimits;
  readonly counters: PoolCounters;
  /** Receives the identity that the peer of each new connection has proved. */
  readonly onPeer?: (identity: string | undefined) => void;
  /** The limits that all endpoints of the cluster share. Absent means that only this pool's own limits apply. */
  readonly breaker?: PoolBreaker;
  readonly http2?: Http2Settings;
  /**
   * The client connection whose requests this pool carries. If absent, the pool carries the requests of every client.
   */
  readonly downstream?: ConnectionInfo;
  /**
   * The client address from which this pool connects, for the requests of its clients. If absent, the pool connects
   * from this proxy's own address.
   */
  readonly source?: OriginalSource;
}

/**
 * The connections to one endpoint. With HTTP/1.1, the most recently used idle connection is taken first, so that
 * surplus connections stay idle and are closed. An HTTP/2 connection serves many requests at a time.
 */
export class ConnectionPool implements ConnectionHome {
  readonly #endpoint: EndpointConfig;
  readonly #connector: EndpointConnector;
  readonly #clock: Clock;
  readonly #counters: PoolCounters;
  readonly #onPeer: ((identity: string | undefined) => void) | undefined;
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new LinkedList<UpstreamConnection>();
  readonly #http2: Http2Pool;
  /** When each waiting user arrived, on the steady clock, in order of arrival. */
  readonly #waiting = new Map<PoolUser, number>();
  readonly #connecting: Record<WireProtocol, number> = { http1: 0, http2: 0, alpn: 0 };
  /** The protocol that the last TLS handshake negotiated (ALPN). */
  #agreed: "http1" | "http2" = "http1";
  #serving = false;
  #closed = false;
  #removedAtMs: number | undefined;
  #waitLimit: Disposable | undefined;
  readonly #breaker: PoolBreaker;
  readonly #context: Pick<ConnectContext, "downstream" | "source">;
  limits: PoolLimits;

  constructor(options: ConnectionPoolOptions) {
    this.#endpoint = options.endpoint;
    this.#connector = options.connector;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.#onPeer = options.onPeer;
    this.limits = options.limits;
    const { downstream, source } = options;
    this.#context = {
      ...(downstream === undefined ? {} : { downstream }),
      ...(source === undefined ? {} : { source }),
    };
    this.#breaker = options.breaker ?? {
      connections: new Budget(() => this.limits.maxConnections),
      pending: new Budget(() => this.limits.maxPendingRequests),
    };
    this.#http2 = new Http2Pool({
      clock: options.clock,
      http2: options.http2,
      onRoom: () => this.#serveWaiting(),
      onClosed: () => {
        this.#breaker.connections.give();
        this.#counters.connectionsClosed += 1;
        this.#connectForWaiting();
      },
    });
  }

  get openConnections(): number {
    return this.#all.size + this.#http2.openConnections;
  }

  get pendingRequests(): number {
    return this.#waiting.size;
  }

  /**
   * Gives the user an idle connection or a stream at once, or opens a connection for it. With `fresh`, an HTTP/1.1
   * connection that served another request is not used.
   */
  acquire(user: PoolUser, fresh: boolean): void {
    const protocol = user.upstreamProtocol ?? "http1";
    if (protocol !== "http2") {
      const idle = fresh ? undefined : this.#takeIdle(user);
      if (idle !== undefined) {
        user.connected(idle);
        return;
      }
    }
    if (protocol !== "http1") {
      this.#http2.maxRequestsPerConnection = this.limits.maxRequestsPerConnection;
      if (this.#http2.serve(user)) return;
    }
    if (this.#waiting.size >= hardMaxPendingRequests || !this.#breaker.pending.take()) {
      user.connectFailed({ kind: "overflow", message: "overflow" });
      return;
    }
    this.#waiting.set(user, this.#clock.steadyMs());
    this.#limitWait();
    if (this.#hasRoom()) {
      if (protocol === "http1" || this.#wantsMore(protocol)) void this.#connect(protocol);
    } else if (this.openConnections + this.dialing === 0) this.#fail(user, { kind: "overflow", message: "overflow" });
  }

  /** Removes a user that no longer waits. A connection that is being opened for it will serve others. */
  giveUp(user: PoolUser): void {
    this.#noLongerWaits(user);
  }

  release(connection: UpstreamConnection): void {
    const limit = this.limits.maxRequestsPerConnection;
    const nowMs = this.#clock.steadyMs();
    if (connection.retiring || (limit > 0 && connection.requests >= limit) || this.#isOld(connection, nowMs)) {
      connection.retire(this.#clock);
      return;
    }
    const next = this.#takeWaiting((user) => user.upstreamProtocol !== "http2");
    if (next !== undefined) {
      next.connected(connection);
      return;
    }
    if (this.#closed) {
      connection.retire(this.#clock);
      return;
    }
    connection.idleSinceMs = nowMs;
    this.#idle.push(connection);
  }

  forget(connection: UpstreamConnection): void {
    if (!this.#all.remove(connection)) return;
    this.#breaker.connections.give();
    this.#counters.connectionsClosed += 1;
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#connectForWaiting();
  }

  /**
   * Closes connections that have been idle for too long, and HTTP/2 connections whose server keeps requests waiting.
   * Must be called once a second, with the steady clock.
   */
  sweep(nowMs: number): void {
    this.#http2.sweep(nowMs, this.limits.idleTimeoutMs, this.limits.maxDurationMs);
    this.#http2.replaceHeldOff(
      nowMs,
      this.#firstWaiting(({ upstreamProtocol = "http1" }) => upstreamProtocol !== "http1") !== undefined,
    );
    const isUnused = ({ isSurplus, requests, idleSinceMs }: UpstreamConnection): boolean =>
      isSurplus && requests === 0 && nowMs - idleSinceMs >= unusedTimeoutMs;
    for (const connection of this.#idle.filter((idle) => idle.retiring || this.#isOld(idle, nowMs) || isUnused(idle)))
      connection.retire(this.#clock);
    while (this.#idle.length > 0) {
      const oldest = this.#idle[0];
      if (oldest === undefined || nowMs - oldest.idleSinceMs < Math.min(this.limits.idleTimeoutMs, oldest.idleLimitMs))
        return;
      this.#idle.shift();
      oldest.retire(this.#clock);
    }
  }

  /** Closes the idle connections that have not carried a request. */
  closeUnused(): void {
    for (const connection of this.#idle.filter((idle) => idle.requests === 0)) connection.retire(this.#clock);
  }

  /** Closes idle connections and keeps none in the future. Open exchanges continue to their end. */
  drain(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.retire(this.#clock);
    if (this.#waiting.size === 0) this.#http2.drain();
  }

  /**
   * Drains the pool, because the control plane has removed the endpoint. If the address has vanished, connections to it
   * neither open nor fail. So requests that wait for the first connection soon fail as if the connection had failed,
   * and may try another endpoint.
   */
  remove(): void {
    this.#removedAtMs ??= this.#clock.steadyMs();
    this.drain();
    this.#limitWait();
  }

  /** Starts the timer that limits the wait after the endpoint's removal. One timer serves all users that wait. */
  #limitWait(): void {
    const removedAtMs = this.#removedAtMs;
    const [first] = this.#waiting.values();
    if (removedAtMs === undefined || first === undefined || this.#waitLimit !== undefined) return;
    const dueMs = Math.max(first, removedAtMs) + removedWaitMs;
    this.#waitLimit = this.#clock.after(Math.max(0, dueMs - this.#clock.steadyMs()), () => {
      this.#waitLimit = undefined;
      if (this.openConnections > 0) return;
      const beforeMs = this.#clock.steadyMs() - removedWaitMs;
      for (const [user, sinceMs] of this.#waiting) {
        if (sinceMs > beforeMs) break;
        this.#fail(user, { kind: "connection-failure", message: "the endpoint was removed before it answered" });
      }
      this.#limitWait();
    });
  }

  /** Opens a connection if a user waits that no connection in progress will serve. */
  #connectForWaiting(): void {
    const [user] = this.#waiting.keys();
    if (user === undefined || !this.#hasRoom()) return;
    const protocol = user.upstreamProtocol ?? "http1";
    if (this.#isShort(protocol)) void this.#connect(protocol);
  }

  /** Whether more users wait than the connections in progress will serve. */
  #isShort(protocol: WireProtocol): boolean {
    return protocol === "http1" ? this.#waiting.size > this.dialing : this.#wantsMore(protocol);
  }

  /** Whether more users wait than the streams that the connections in progress will offer. */
  #wantsMore(protocol: "http2" | "alpn"): boolean {
    const dialing = this.#connecting[protocol];
    if (protocol === "alpn" && this.#agreed === "http1") return this.#waiting.size > dialing;
    if (this.#http2.isHeldOff) return false;
    return this.#waiting.size > dialing * this.#http2.expectedStreams;
  }

  #hasRoom(): boolean {
    // Open a connection even beyond the limit if the pool has none, unless the limit is 0: a waiting user would
    // otherwise wait forever.
    if (this.#all.size + this.#http2.usableConnections + this.dialing === 0) return this.limits.maxConnections > 0;
    return !this.#breaker.connections.exhausted;
  }

  /** The number of connections that are being opened. */
  get dialing(): number {
    return this.#connecting.http1 + this.#connecting.http2 + this.#connecting.alpn;
  }

  #isOld({ openedAtMs }: UpstreamConnection, nowMs: number): boolean {
    return nowMs - openedAtMs >= (this.limits.maxDurationMs ?? Infinity);
  }

  #takeIdle(user: PoolUser): UpstreamConnection | undefined {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle === undefined || (!idle.retiring && !(user.sendsOnce === true && this.#wasClosed(idle)))) return idle;
      idle.retire(this.#clock);
    }
  }

  /**
   * Whether the peer has closed an idle connection without this process having noticed. An idle peer sends nothing
   * except its end.
   */
  #wasClosed({ idleSinceMs, stream }: UpstreamConnection): boolean {
    return this.#clock.steadyMs() - idleSinceMs >= trustedIdleMs && hasUnreadInput(stream);
  }

  async #connect(protocol: WireProtocol): Promise<void> {
    this.#connecting[protocol] += 1;
    this.#breaker.connections.force();
    // Let the next frames be read first. A client that floods withdraws its requests in the very next frames, and such
    // requests should open no connection.
    await Promise.resolve();
    this.#connecting[protocol] -= 1;
    if (!this.#isShort(protocol)) {
      this.#breaker.connections.give();
      return;
    }
    this.#connecting[protocol] += 1;
    let stream: UpstreamStream;
    try {
      stream = await this.#connector.connect(this.#endpoint, this.limits.connectTimeoutMs, {
        protocol,
        ...this.#context,
      });
    } catch (error) {
      this.#connecting[protocol] -= 1;
      this.#breaker.connections.give();
      const failure = connectFailureOf(error);
      this.#counters.connectFailures += 1;
      if (failure.kind === "timeout") this.#counters.connectTimeouts += 1;
      // Let only one user fail. The others have connection attempts of their own, or get a connection that becomes
      // free.
      const user = this.#takeWaiting((waiting) => (waiting.upstreamProtocol ?? "http1") === protocol);
      user?.connectFailed(failure);
      this.#connectForWaiting();
      return;
    }
    this.#connecting[protocol] -= 1;
    this.#counters.connectionsOpened += 1;
    try {
      this.#onPeer?.(stream.peerIdentity);
      this.#adopt(stream, protocol);
    } catch (error) {
      stream.destroy({ error: contained(error), reset: true });
    }
  }

  #adopt(stream: UpstreamStream, protocol: WireProtocol): void {
    const http2 = carriesHttp2(stream, protocol);
    if (protocol === "alpn") this.#agreed = http2 ? "http2" : "http1";
    if (http2) {
      this.#http2.adopt(stream);
      this.#serveWaiting();
      return;
    }
    const connection = new UpstreamConnection(stream, this, this.#clock.steadyMs());
    this.#all.add(connection);
    // Serve one user even if the tunnel that carries this connection is draining from the start, because another
    // connection would be no better.
    const next = this.#takeWaiting((user) => user.upstreamProtocol !== "http2");
    if (next === undefined) {
      connection.isSurplus = true;
      this.release(connection);
    } else next.connected(connection);
    // Users that hoped to share an HTTP/2 connection now need one connection each.
    if (protocol === "alpn") this.#connectForWaiting();
  }

  #serveWaiting(): void {
    if (this.#serving) return;
    this.#serving = true;
    for (const user of this.#waiting.keys()) {
      if ((user.upstreamProtocol ?? "http1") === "http1") continue;
      if (!this.#http2.hasRoom) break;
      this.#noLongerWaits(user);
      this.#http2.serve(user);
    }
    this.#serving = false;
    if (this.#waiting.size > 0) this.#connectForWaiting();
    else if (this.#closed) this.#http2.drain();
  }

  #firstWaiting(suits: (user: PoolUser) => boolean): PoolUser | undefined {
    // Check this first: usually nobody waits, and making an iterator costs more.
    if (this.#waiting.size === 0) return undefined;
    for (const user of this.#waiting.keys()) if (suits(user)) return user;
    return undefined;
  }

  #takeWaiting(suits: (user: PoolUser) => boolean): PoolUser | undefined {
    const user = this.#firstWaiting(suits);
    if (user !== undefined) this.#noLongerWaits(user);
    return user;
  }

  #noLongerWaits(user: PoolUser): void {
    if (this.#waiting.delete(user)) this.#breaker.pending.give();
  }

  #fail(user: PoolUser, failure: ConnectFailure): void {
    this.giveUp(user);
    user.connectFailed(failure);
  }
}
