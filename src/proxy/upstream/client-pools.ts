import type { ConnectionInfo, OriginalSource } from "../terms/connection-info.ts";
import { ConnectionPool, type ConnectionPoolOptions } from "./connection-pool.ts";

/** The maximum number of clients that have their own pool for one endpoint. */
export const maxClientPools = 4096;
/**
 * The time after which a client's idle connection closes, in milliseconds. It is short, because few others can use such
 * a connection.
 */
const maxIdleMs = 15_000;

/**
 * The connections to one endpoint if clients cannot share them. If each connection names its client in a PROXY header,
 * each client connection has its own pool. If connections come from their client's address, each address has its own
 * pool.
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

  get(downstream: ConnectionInfo): ConnectionPool {
    const { remote, local } = downstream;
    return this.#poolOf(`${remote.address} ${remote.port} ${local.address} ${local.port}`, { downstream });
  }

  ofSource(source: OriginalSource): ConnectionPool {
    return this.#poolOf(`${source.address} ${source.mark}`, { source });
  }

  /**
   * Returns or creates a pool. If there are too many, the pool that was unused for longest is removed, so that clients
   * with many connections cannot keep others out. Its idle connections close, and the others end with their exchanges.
   */
  #poolOf(key: string, options: Pick<ConnectionPoolOptions, "downstream" | "source">): ConnectionPool {
    const known = this.#pools.get(key);
    const pool = known ?? new ConnectionPool({ ...this.#options, ...options });
    // Move the pool to the end: the map's order is that of the last use.
    if (known !== undefined) this.#pools.delete(key);
    else this.#makeRoom();
    this.#pools.set(key, pool);
    return pool;
  }

  #makeRoom(): void {
    for (const [oldest, pool] of this.#pools) {
      if (this.#pools.size < maxClientPools) return;
      this.#pools.delete(oldest);
      pool.drain();
    }
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
