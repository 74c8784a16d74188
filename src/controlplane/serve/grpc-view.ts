import {
  grpcListener,
  grpcRoutes,
  grpcRoutesName,
  grpcTargetOfListener,
  grpcTargetOfRoutes,
  type EncodedResource,
} from "../translate/index.ts";
import type { ResourceView } from "./resource-view.ts";

/**
 * Listeners for proxyless gRPC clients: one for each port of a service, named `host:port`, as long as the port has a
 * cluster. A listener is made only when it is requested by name.
 */
export class GrpcListenerView implements ResourceView {
  readonly #clusters: ResourceView;

  constructor(clusters: ResourceView) {
    this.#clusters = clusters;
  }

  get(name: string): EncodedResource | undefined {
    const target = grpcTargetOfListener(name);
    return target === undefined || this.#clusters.get(grpcRoutesName(target)) === undefined
      ? undefined
      : grpcListener(name, target);
  }

  all(): Iterable<EncodedResource> {
    return [];
  }

  known(): boolean {
    return this.#clusters.known?.() ?? true;
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return this.#clusters.subscribe((clusters) => {
      const names = clusters.flatMap((cluster) => {
        const target = grpcTargetOfRoutes(cluster);
        return target === undefined ? [] : [`${target.host}:${target.port}`];
      });
      if (names.length > 0) changed(names);
    });
  }
}

/** The routes of these clients: for each service, the routes that sidecars have in the port's table. */
export class GrpcRouteView implements ResourceView {
  readonly #tables: ResourceView;
  /**
   * Requested names by their table, because a change of the table is a change of each of them. The stream's bound on
   * names applies.
   */
  readonly #asked = new Map<string, Set<string>>();

  constructor(tables: ResourceView) {
    this.#tables = tables;
  }

  get(name: string): EncodedResource | undefined {
    const target = grpcTargetOfRoutes(name);
    if (target === undefined) return undefined;
    const port = String(target.port);
    this.#asked.set(port, (this.#asked.get(port) ?? new Set()).add(name));
    const table = this.#tables.get(port);
    return table === undefined ? undefined : grpcRoutes(target, table);
  }

  all(): Iterable<EncodedResource> {
    return [];
  }

  forget(name: string): void {
    const port = String(grpcTargetOfRoutes(name)?.port);
    const asked = this.#asked.get(port);
    asked?.delete(name);
    if (asked?.size === 0) this.#asked.delete(port);
  }

  known(): boolean {
    return this.#tables.known?.() ?? true;
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return this.#tables.subscribe((tables) => {
      const names = tables.flatMap((table) => [...(this.#asked.get(table) ?? [])]);
      if (names.length > 0) changed(names);
    });
  }
}
