import type { Clock, Logger } from "../base/index.ts";
import type { RouteTable } from "./routing/route-table.ts";

/** The maximum time for which a new table waits for the endpoints of its clusters. */
const warmingLimitMs = 5000;

export interface RouteTablesOptions {
  /** Whether a cluster in force waits for its first endpoints. */
  readonly awaitsEndpoints: (cluster: string) => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** The route tables in force, and the new versions that wait for the endpoints of their clusters. */
export class RouteTables {
  readonly #options: RouteTablesOptions;
  readonly #tables = new Map<string, RouteTable>();
  /** The tables that wait for endpoints. The previous version of each stays in force meanwhile. */
  readonly #warming = new Map<string, { readonly table: RouteTable; readonly limit: Disposable }>();

  constructor(options: RouteTablesOptions) {
    this.#options = options;
  }

  get(name: string): RouteTable | undefined {
    return this.#tables.get(name);
  }

  names(): IterableIterator<string> {
    return this.#tables.keys();
  }

  all(): IterableIterator<RouteTable> {
    return this.#tables.values();
  }

  /**
   * Sets a table. If it replaces another one, it first waits, for a limited time, until the clusters that it names have
   * endpoints.
   */
  set(name: string, table: RouteTable): void {
    this.stopWarming(name);
    if (!this.#tables.has(name) || this.#isWarm(table)) {
      this.#tables.set(name, table);
      return;
    }
    const { clock, log } = this.#options;
    const limit = clock.after(warmingLimitMs, () => {
      log.warn("routes are applied although some of their clusters have no endpoints yet", { routes: name });
      this.#warming.delete(name);
      this.#tables.set(name, table);
    });
    this.#warming.set(name, { table, limit });
  }

  delete(name: string): void {
    this.#tables.delete(name);
  }

  stopWarming(name: string): void {
    this.#warming.get(name)?.limit[Symbol.dispose]();
    this.#warming.delete(name);
  }

  /** Puts waiting tables in force whose clusters have endpoints now. Must be called when clusters change. */
  finishWarming(): void {
    for (const [name, { table }] of this.#warming) {
      if (!this.#isWarm(table)) continue;
      this.stopWarming(name);
      this.#tables.set(name, table);
    }
  }

  /**
   * Whether the table need not wait. Only clusters that exist and wait for their first endpoints delay it: an unknown
   * cluster may never arrive.
   */
  #isWarm(table: RouteTable): boolean {
    for (const name of table.clusters()) if (this.#options.awaitsEndpoints(name)) return false;
    return true;
  }

  close(): void {
    for (const name of this.#warming.keys()) this.stopWarming(name);
  }
}
