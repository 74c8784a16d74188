import type { ConnectionInfo, OriginalSource } from "../terms/connection-info.ts";
import { ConnectionPool, type ConnectionPoolOptions } from "./connection-pool.ts";

/** The maximum number of clients with their own connections to one endpoint. */
export const maxClientPools = 4096;
/** Few others can use such a connection, so it closes soon after its client becomes idle. */
const maxIdleMs = 15_000;

/**
 * The connections to one endpoint when not all clients can share them: each names its client at its start, and then
 * each client connection has a pool of its own, or each has its client's address, and then each address has one.
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
    return this.#get(`${remote.address} ${remote.port} ${local.address} ${local.port}`, { downstream });
  }

  /** The same for connections from a client's address. */
  ofSource(source: OriginalSource): ConnectionPool | undefined {
    return this.#get(`${source.address} ${source.mark}`, { source });
  }

  #get(key: string, of: Pick<ConnectionPoolOptions, "downstream" | "source">): ConnectionPool | undefined {
    let pool = this.#pools.get(key);
    if (pool !== undefined || this.#pools.size >= maxClientPools) return pool;
    pool = new ConnectionPool({ ...this.#options, ...of });
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
