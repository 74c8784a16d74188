import {
  announcedTableResource,
  routeTableResource,
  virtualHostName,
  virtualHostResource,
  type EncodedResource,
  type HostPlan,
  type OutboundRoutes,
  type RouteTable,
} from "../../translate/index.ts";
import { followScope, joined, subscribeToKeys, type ResourceView } from "./resource-view.ts";

function tablesOf({ tables }: OutboundRoutes, scope: string): readonly RouteTable[] {
  return tables.index("scope", (table) => [table.scope]).lookup(scope);
}

/** The complete route configurations of one scope. Each is assembled from its hosts when it is requested. */
export class RouteTableView implements ResourceView {
  readonly #routes: OutboundRoutes;
  readonly #scope: string;

  constructor(routes: OutboundRoutes, scope: string) {
    this.#routes = routes;
    this.#scope = scope;
  }

  get(name: string): EncodedResource | undefined {
    const table = this.#routes.tables.get(`${this.#scope}|${name}`);
    return table === undefined ? undefined : this.#encode(table);
  }

  *all(): Iterable<EncodedResource> {
    for (const table of tablesOf(this.#routes, this.#scope)) yield this.#encode(table);
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    let tablesByHost: ReadonlyMap<string, readonly string[]> | undefined;
    return joined([
      followScope(this.#routes.tables, this.#scope, (names) => {
        tablesByHost = undefined;
        changed(names);
      }),
      subscribeToKeys(this.#routes.hosts, (keys) => {
        const byHost = (tablesByHost ??= this.#tablesByHost());
        const names = new Set(keys.flatMap((key) => byHost.get(key) ?? []));
        if (names.size > 0) changed([...names]);
      }),
    ]);
  }

  #encode(table: RouteTable): EncodedResource {
    return routeTableResource(table, (plan) => this.#routes.hosts.get(plan.key));
  }

  #tablesByHost(): ReadonlyMap<string, readonly string[]> {
    const found = new Map<string, string[]>();
    for (const table of tablesOf(this.#routes, this.#scope)) {
      for (const { key } of table.hosts) {
        const names = found.get(key);
        if (names === undefined) found.set(key, [table.name]);
        else names.push(table.name);
      }
    }
    return found;
  }
}

/** The route configurations of one scope without hosts, for clients with virtual host discovery. */
export class AnnouncedTableView implements ResourceView {
  readonly #routes: OutboundRoutes;
  readonly #scope: string;

  constructor(routes: OutboundRoutes, scope: string) {
    this.#routes = routes;
    this.#scope = scope;
  }

  get(name: string): EncodedResource | undefined {
    return this.#routes.tables.get(`${this.#scope}|${name}`) === undefined ? undefined : announcedTableResource(name);
  }

  *all(): Iterable<EncodedResource> {
    for (const { name } of tablesOf(this.#routes, this.#scope)) yield announcedTableResource(name);
  }

  /** Reports only new and removed tables, because a table's resource does not contain its hosts. */
  subscribe(changed: (names: readonly string[]) => void): Disposable {
    let known = new Set(tablesOf(this.#routes, this.#scope).map(({ name }) => name));
    return followScope(this.#routes.tables, this.#scope, () => {
      const now = new Set(tablesOf(this.#routes, this.#scope).map(({ name }) => name));
      const names = [...known.symmetricDifference(now)];
      known = now;
      if (names.length > 0) changed(names);
    });
  }
}

/** The virtual hosts of one scope, named `<route configuration>/<host>`. */
export class VirtualHostView implements ResourceView {
  readonly #routes: OutboundRoutes;
  readonly #scope: string;
  /** The keys of hosts, by name. Kept while the view has a follower. */
  #keys: Map<string, string> | undefined;

  constructor(routes: OutboundRoutes, scope: string) {
    this.#routes = routes;
    this.#scope = scope;
  }

  get(name: string): EncodedResource | undefined {
    const key = (this.#keys ?? this.#readKeys()).get(name);
    const host = key === undefined ? undefined : this.#routes.hosts.get(key);
    return host === undefined ? undefined : virtualHostResource(host);
  }

  *all(): Iterable<EncodedResource> {
    for (const key of (this.#keys ?? this.#readKeys()).values()) {
      const host = this.#routes.hosts.get(key);
      if (host !== undefined) yield virtualHostResource(host);
    }
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    this.#keys = this.#readKeys();
    const known = new Map(tablesOf(this.#routes, this.#scope).map((table) => [table.name, table.hosts]));
    return joined([
      followScope(this.#routes.tables, this.#scope, (tables) => {
        const names = new Set<string>();
        for (const table of tables) {
          const after = this.#routes.tables.get(`${this.#scope}|${table}`)?.hosts ?? [];
          this.#replace(known.get(table) ?? [], after, names);
          if (after.length === 0) known.delete(table);
          else known.set(table, after);
        }
        if (names.size > 0) changed([...names]);
      }),
      subscribeToKeys(this.#routes.hosts, (keys) => {
        const names = keys.flatMap((key) => {
          const name = virtualHostName(this.#routes.hosts.get(key)?.plan ?? nobody);
          return this.#keys?.get(name) === key ? name : [];
        });
        if (names.length > 0) changed(names);
      }),
      { [Symbol.dispose]: () => (this.#keys = undefined) },
    ]);
  }

  #readKeys(): Map<string, string> {
    return new Map(
      tablesOf(this.#routes, this.#scope).flatMap(({ hosts }) =>
        hosts.map((plan) => [virtualHostName(plan), plan.key] as const),
      ),
    );
  }

  /** Skips the equal beginning and end of both lists, which are most of their entries. */
  #replace(before: readonly HostPlan[], after: readonly HostPlan[], names: Set<string>): void {
    const shorter = Math.min(before.length, after.length);
    let head = 0;
    while (head < shorter && isSame(before[head], after[head])) head += 1;
    let tail = 0;
    while (tail < shorter - head && isSame(before[before.length - 1 - tail], after[after.length - 1 - tail])) tail += 1;
    const gone = new Map(before.slice(head, before.length - tail).map((plan) => [virtualHostName(plan), plan]));
    for (const plan of after.slice(head, after.length - tail)) {
      const name = virtualHostName(plan);
      if (!isSame(gone.get(name), plan)) names.add(name);
      gone.delete(name);
      this.#keys?.set(name, plan.key);
    }
    for (const name of gone.keys()) {
      names.add(name);
      this.#keys?.delete(name);
    }
  }
}

function isSame(left: HostPlan | undefined, right: HostPlan | undefined): boolean {
  return left === right || (left !== undefined && left.key === right?.key);
}

const nobody = { table: "", host: "" };
