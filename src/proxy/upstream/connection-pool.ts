import { LinkedList, type Clock } from "../../base/index.ts";
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
  /** Closes a connection after this many requests. 0 means no limit. */
  readonly maxRequestsPerConnection: number;
  /** Closes an idle connection after this time. */
  readonly idleTimeoutMs: number;
  /** The time after which a connection gets no new requests and closes after its last one. Absent means no limit. */
  readonly maxDurationMs?: number;
}

/** The maximum number of requests that wait for one endpoint, independent of the configuration. */
const hardMaxPendingRequests = 16_384;
/** How long a connection stays open for others if its own request ended before the connection opened. */
const unusedTimeoutMs = 5000;
/**
 * After this idle time, a connection is checked again before it carries a request that must not be sent twice. The peer
 * may have closed it, and a busy event loop may not have noticed. The check is a system call, so it is skipped for a
 * connection that was in use just now.
 */
const trustedIdleMs = 10;

/** How long requests wait for a first connection to an endpoint that is no longer configured. */
const removedWaitMs = 1000;

export interface PoolCounters {
  connectionsOpened: number;
  connectFailures: number;
  /** The failures of connections that were not open in time. They count among `connectFailures` too. */
  connectTimeouts: number;
  connectionsClosed: number;
}

/** Limits for connections and waiting requests. */
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
  /** Receives the identity that each new connection proved. */
  readonly onPeer?: (identity: string | undefined) => void;
  /** The limits that all endpoints of the cluster share. Absent means only this pool's own limits. */
  readonly breaker?: PoolBreaker;
  readonly http2?: Http2Settings;
  /** The only client connection whose requests this pool carries. If absent, it carries those of any connection. */
  readonly downstream?: ConnectionInfo;
  /**
   * The address of the only clients whose requests this pool carries. If absent, the pool uses this proxy's own
   * address.
   */
  readonly source?: OriginalSource;
}

/**
 * The connections to one endpoint. With HTTP/1.1, the most recently used idle connection is taken first, so that
 * surplus ones stay idle and are closed. An HTTP/2 connection serves many requests at a time.
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
  /** When the control plane removed the endpoint, on the steady clock. */
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
   * Provides an idle connection or a stream at once, or opens a connection. With `fresh`, an HTTP/1.1 connection is
   * never reused.
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

  /** Called when the user no longer waits. A connection in progress will serve others. */
  giveUp(user: PoolUser): void {
    this.#noLongerWaits(user);
  }

  /** Takes back a connection after its exchange, for another one. */
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

  /** Called when the connection has ended. */
  forget(connection: UpstreamConnection): void {
    if (!this.#all.remove(connection)) return;
    this.#breaker.connections.give();
    this.#counters.connectionsClosed += 1;
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#connectForWaiting();
  }

  /**
   * Closes connections that have been idle for too long, or that keep requests waiting. Must be called once a second,
   * with the steady clock.
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

  /** Closes connections that were no longer needed when they opened. */
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
   * Called when the control plane has removed the endpoint. Drains. An address that has vanished does not answer at
   * all, so requests that wait for the first connection soon fail as if it had failed, and may go elsewhere.
   */
  remove(): void {
    this.#removedAtMs ??= this.#clock.steadyMs();
    this.drain();
    this.#limitWait();
  }

  /** One timer serves all users that wait. */
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

  /** Opens a connection if a user waits and no connection is in progress for it. */
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

  /** Whether more users wait than the connections in progress have streams. */
  #wantsMore(protocol: "http2" | "alpn"): boolean {
    const dialing = this.#connecting[protocol];
    if (protocol === "alpn" && this.#agreed === "http1") return this.#waiting.size > dialing;
    if (this.#http2.isHeldOff) return false;
    return this.#waiting.size > dialing * this.#http2.expectedStreams;
  }

  #hasRoom(): boolean {
    // Without any connection to the endpoint, a waiting user would wait forever.
    if (this.#all.size + this.#http2.usableConnections + this.dialing === 0) return this.limits.maxConnections > 0;
    return !this.#breaker.connections.exhausted;
  }

  /** The number of connections in progress. */
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

  /** Whether the peer has closed an idle connection without our knowledge. An idle peer sends nothing but its end. */
  #wasClosed({ idleSinceMs, stream }: UpstreamConnection): boolean {
    return this.#clock.steadyMs() - idleSinceMs >= trustedIdleMs && hasUnreadInput(stream);
  }

  async #connect(protocol: WireProtocol): Promise<void> {
    this.#connecting[protocol] += 1;
    this.#breaker.connections.force();
    // A client that floods withdraws its requests in the very next frames. Wait for those, so that such a request opens
    // no connection.
    await Promise.resolve();
    this.#connecting[protocol] -= 1;
    if (!this.#isShort(protocol)) {
      this.#breaker.connections.give();
      return;
    }
    this.#connecting[protocol] += 1;
    try {
      const stream = await this.#connector.connect(this.#endpoint, this.limits.connectTimeoutMs, {
        protocol,
        ...this.#context,
      });
      this.#connecting[protocol] -= 1;
      this.#counters.connectionsOpened += 1;
      this.#onPeer?.(stream.peerIdentity);
      this.#adopt(stream, protocol);
    } catch (error) {
      this.#connecting[protocol] -= 1;
      this.#breaker.connections.give();
      const failure = connectFailureOf(error);
      this.#counters.connectFailures += 1;
      if (failure.kind === "timeout") this.#counters.connectTimeouts += 1;
      // Only one user fails. The other waiting users have their own connection attempts, or take a connection that
      // becomes free.
      const user = this.#takeWaiting((waiting) => (waiting.upstreamProtocol ?? "http1") === protocol);
      user?.connectFailed(failure);
      this.#connectForWaiting();
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
    // The tunnel connection that carries this one may be draining from the start. Another connection would be no
    // better, so this one serves one user.
    const next = this.#takeWaiting((user) => user.upstreamProtocol !== "http2");
    if (next === undefined) {
      connection.isSurplus = true;
      this.release(connection);
    } else next.connected(connection);
    // Users who hoped to share a connection now need one each.
    if (protocol === "alpn") this.#connectForWaiting();
  }

  /** Assigns waiting users to streams while there is room. */
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
    // Usually nobody waits, and an iterator costs more than this check.
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
