import { messageOf, SerinError, type Clock } from "../../base/index.ts";
import type { EndpointConfig, EndpointConnector } from "./endpoint.ts";
import type { UpstreamChannel } from "./upstream-channel.ts";
import { UpstreamConnection, type ConnectionHome } from "./upstream-connection.ts";

/** Who waits for a connection. Exactly one of the two is called, at once or later, unless the wait was given up. */
export interface PoolUser {
  connected(channel: UpstreamChannel): void;
  connectFailed(failure: ConnectFailure): void;
}

export interface ConnectFailure {
  readonly kind: "connection-failure" | "timeout" | "overflow";
  readonly message: string;
}

export interface PoolLimits {
  readonly connectTimeoutMs: number;
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  /** A connection is closed after that many requests; 0 means no limit. */
  readonly maxRequestsPerConnection: number;
  /** An idle connection is closed after this time. */
  readonly idleTimeoutMs: number;
}

/** Requests that may wait for a connection of one endpoint, whatever the configuration allows. */
export const hardMaxPendingRequests = 16_384;

export interface PoolCounters {
  connectionsOpened: number;
  connectFailures: number;
  connectionsClosed: number;
}

/** The connections to one endpoint: idle ones are taken last in, first out, so that surplus ones grow old and are swept. */
export class ConnectionPool implements ConnectionHome {
  readonly #endpoint: EndpointConfig;
  readonly #connector: EndpointConnector;
  readonly #clock: Clock;
  readonly #counters: PoolCounters;
  readonly #idle: UpstreamConnection[] = [];
  readonly #all = new Set<UpstreamConnection>();
  readonly #waiting: PoolUser[] = [];
  #connecting = 0;
  #closed = false;
  limits: PoolLimits;

  constructor(options: {
    readonly endpoint: EndpointConfig;
    readonly connector: EndpointConnector;
    readonly clock: Clock;
    readonly limits: PoolLimits;
    readonly counters: PoolCounters;
  }) {
    this.#endpoint = options.endpoint;
    this.#connector = options.connector;
    this.#clock = options.clock;
    this.#counters = options.counters;
    this.limits = options.limits;
  }

  get openConnections(): number {
    return this.#all.size;
  }

  get pendingRequests(): number {
    return this.#waiting.length;
  }

  /** Gives an idle connection at once, or opens one. `fresh` never gives one that was used before. */
  acquire(user: PoolUser, fresh: boolean): void {
    const idle = fresh ? undefined : this.#takeIdle();
    if (idle !== undefined) {
      user.connected(idle);
      return;
    }
    if (this.#waiting.length >= Math.min(this.limits.maxPendingRequests, hardMaxPendingRequests)) {
      user.connectFailed({ kind: "overflow", message: "overflow" });
      return;
    }
    this.#waiting.push(user);
    if (this.#all.size + this.#connecting < this.limits.maxConnections) void this.#connect();
    else if (this.#all.size + this.#connecting === 0) this.#failOldest({ kind: "overflow", message: "overflow" });
  }

  /** The user no longer waits; a connection that is being opened for it will serve others. */
  giveUp(user: PoolUser): void {
    const index = this.#waiting.indexOf(user);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  /** Takes back a connection whose exchange is over and which may serve another one. */
  release(connection: UpstreamConnection): void {
    const limit = this.limits.maxRequestsPerConnection;
    if (connection.retiring || (limit > 0 && connection.requests >= limit)) {
      connection.retire(this.#clock);
      return;
    }
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next.connected(connection);
      return;
    }
    if (this.#closed) {
      connection.retire(this.#clock);
      return;
    }
    connection.idleSinceMs = this.#clock.steadyMs();
    this.#idle.push(connection);
  }

  /** The connection has ended. */
  forget(connection: UpstreamConnection): void {
    if (!this.#all.delete(connection)) return;
    this.#counters.connectionsClosed += 1;
    const index = this.#idle.indexOf(connection);
    if (index >= 0) this.#idle.splice(index, 1);
    this.#connectForWaiting();
  }

  /** Opens a connection when somebody waits for whom none is on its way. */
  #connectForWaiting(): void {
    if (this.#waiting.length > this.#connecting && this.#all.size + this.#connecting < this.limits.maxConnections) void this.#connect();
  }

  #takeIdle(): UpstreamConnection | undefined {
    for (;;) {
      const idle = this.#idle.pop();
      if (idle?.retiring !== true) return idle;
      idle.retire(this.#clock);
    }
  }

  /** Closes connections that have been idle for too long. */
  sweep(nowMs: number): void {
    for (const connection of this.#idle.filter((one) => one.retiring)) connection.retire(this.#clock);
    while (this.#idle.length > 0) {
      const oldest = this.#idle[0];
      if (oldest === undefined || nowMs - oldest.idleSinceMs < Math.min(this.limits.idleTimeoutMs, oldest.idleLimitMs)) return;
      this.#idle.shift();
      oldest.retire(this.#clock);
    }
  }

  /** Closes what is idle and takes nothing back any more; exchanges that run go on to their end. */
  drain(): void {
    this.#closed = true;
    for (const connection of this.#idle.splice(0)) connection.retire(this.#clock);
  }

  async #connect(): Promise<void> {
    this.#connecting += 1;
    try {
      const stream = await this.#connector.connect(this.#endpoint, this.limits.connectTimeoutMs);
      this.#connecting -= 1;
      this.#counters.connectionsOpened += 1;
      const connection = new UpstreamConnection(stream, this);
      this.#all.add(connection);
      this.release(connection);
    } catch (error) {
      this.#connecting -= 1;
      this.#counters.connectFailures += 1;
      const message = messageOf(error);
      this.#failOldest({ kind: isTimeout(error) ? "timeout" : "connection-failure", message });
      this.#connectForWaiting();
    }
  }

  #failOldest(failure: ConnectFailure): void {
    // Others that wait have attempts of their own under way, or take a connection that becomes free.
    this.#waiting.shift()?.connectFailed(failure);
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof SerinError && error.code === "timeout";
}
