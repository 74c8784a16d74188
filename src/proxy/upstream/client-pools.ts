import type { ConnectionInfo } from "../terms/connection-info.ts";
import { ConnectionPool, type ConnectionPoolOptions } from "./connection-pool.ts";

/** The maximum number of clients with their own connections to one endpoint. */
export const maxClientPools = 4096;
/** Nobody else can use such a connection, so it closes soon after its client becomes idle. */
const maxIdleMs = 15_000;

/**
 * The connections to one endpoint when each one names its client at its start. Each client connection has a pool of its
 * own.
 */
export class ClientPools {
  readonly #options: ConnectionPoolOptions;
  readonly #pools = new Map<string, ConnectionPool>();

  constructor(options: ConnectionPoolOptions) {
    const { limits } = options;
    this.#options = { ...options, limits: { ...limits, idleTimeoutMs: Math.min(limits.idleTimeoutMs, maxIdleMs) } };
  }

  get size(): number {
    return this.#pools.size;
  }

  /** Undefined if {@link maxClientPools} others have a pool. */
  get(downstream: ConnectionInfo): ConnectionPool | undefined {
    const { remote, local } = downstream;
    const key = `${remote.address} ${remote.port} ${local.address} ${local.port}`;
    let pool = this.#pools.get(key);
    if (pool !== undefined || this.#pools.size >= maxClientPools) return pool;
    pool = new ConnectionPool({ ...this.#options, downstream });
    this.#pools.set(key, pool);
    return pool;
  }

  all(): Iterable<ConnectionPool> {
    return this.#pools.values();
  }

  sweep(nowMs: number): void {
    for (const [key, pool] of this.#pools) {
      pool.sweep(nowMs);
      if (pool.openConnections === 0 && pool.pendingRequests === 0 && pool.dialing === 0) this.#pools.delete(key);
    }
  }
}
