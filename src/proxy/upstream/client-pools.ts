import type { ConnectionInfo, OriginalSource } from "../terms/connection-info.ts";
import { ConnectionPool, type ConnectionPoolOptions } from "./connection-pool.ts";

/** The maximum number of clients with their own connections to one endpoint. */
export const maxClientPools = 4096;
/**
 * The time after which an idle connection of one client closes. It is short, because few others can use such a
 * connection.
 */
const maxIdleMs = 15_000;

/**
 * The connections to one endpoint when not all clients can share them. If connections name their client at the start,
 * each client connection has its own pool. If connections use their client's address, each address has its own pool.
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

  /** The pool of a client's connection. Undefined if {@link maxClientPools} other connections have a pool. */
  get(downstream: ConnectionInfo): ConnectionPool | undefined {
    const { remote, local } = downstream;
    const key = `${remote.address} ${remote.port} ${local.address} ${local.port}`;
    const pool = this.#pools.get(key);
    if (pool !== undefined || this.#pools.size >= maxClientPools) return pool;
    return this.#add(key, { downstream });
  }

  /**
   * The pool for connections from a client's address. If there are too many pools, the one that was unused for longest
   * is removed. Its idle connections close, and the others end with their exchanges.
   */
  ofSource(source: OriginalSource): ConnectionPool {
    const key = `${source.address} ${source.mark}`;
    const pool = this.#pools.get(key);
    if (pool === undefined) {
      for (const [oldest, one] of this.#pools) {
        if (this.#pools.size < maxClientPools) break;
        this.#pools.delete(oldest);
        one.drain();
      }
      return this.#add(key, { source });
    }
    // The map's order is that of the last use.
    this.#pools.delete(key);
    this.#pools.set(key, pool);
    return pool;
  }

  #add(key: string, options: Pick<ConnectionPoolOptions, "downstream" | "source">): ConnectionPool {
    const pool = new ConnectionPool({ ...this.#options, ...options });
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
