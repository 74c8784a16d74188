import {
  grpcListener,
  grpcRoutes,
  grpcRoutesName,
  grpcServerAddress,
  grpcServerListener,
  grpcTargetOfListener,
  grpcTargetOfRoutes,
  inboundListenerName,
  type EncodedResource,
  type GrpcTarget,
} from "../../translate/index.ts";
import { joined, type ResourceView } from "./resource-view.ts";

/** The resources from which the listeners of a gRPC application are made: those that a sidecar beside it would get. */
export interface GrpcListenerSources {
  readonly clusters: ResourceView;
  readonly listeners: ResourceView;
  /** The domain of the application's namespace, for short names of services. */
  readonly domain: string;
  /** Whether the pod's label announces to clients that its servers accept mutual TLS. */
  readonly announcesTls: boolean;
}

/**
 * Listeners for proxyless gRPC. Each port of a service has one for clients, named `host:port`, as long as the port has
 * a cluster. The host may be short within the client's namespace. Each port of the client's pod has one for servers. A
 * listener is made only when it is requested by name.
 */
export class GrpcListenerView implements ResourceView {
  readonly #sources: GrpcListenerSources;
  /** The short names that were requested, by cluster. */
  readonly #short = new Map<string, Set<string>>();
  readonly #servers = new Set<string>();

  constructor(sources: GrpcListenerSources) {
    this.#sources = sources;
  }

  get(name: string): EncodedResource | undefined {
    const address = grpcServerAddress(name);
    if (address !== undefined) {
      this.#servers.add(name);
      const inbound = this.#sources.listeners.get(inboundListenerName);
      return inbound === undefined ? undefined : grpcServerListener(name, address, inbound, this.#sources.announcesTls);
    }
    const target = grpcTargetOfListener(name);
    if (target === undefined) return undefined;
    const own = this.#cluster(target);
    if (own !== undefined) return grpcListener(name, target, own);
    const full = { ...target, host: fullHost(target.host, this.#sources.domain) };
    if (full.host === target.host) return undefined;
    const cluster = grpcRoutesName(full);
    this.#short.set(cluster, (this.#short.get(cluster) ?? new Set()).add(name));
    const found = this.#cluster(full);
    return found === undefined ? undefined : grpcListener(name, full, found);
  }

  all(): Iterable<EncodedResource> {
    return [];
  }

  forget(name: string): void {
    this.#servers.delete(name);
    for (const [cluster, names] of this.#short) if (names.delete(name) && names.size === 0) this.#short.delete(cluster);
  }

  known(): boolean {
    return this.#sources.clusters.known?.() ?? true;
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    const { clusters, listeners } = this.#sources;
    const notify = (names: readonly string[]): void => {
      if (names.length > 0) changed(names);
    };
    return joined([
      clusters.subscribe((names) => notify(names.flatMap((cluster) => this.#clientNames(cluster)))),
      listeners.subscribe((names) => notify(names.includes(inboundListenerName) ? [...this.#servers] : [])),
    ]);
  }

  #cluster(target: GrpcTarget): EncodedResource | undefined {
    return this.#sources.clusters.get(grpcRoutesName(target));
  }

  #clientNames(cluster: string): readonly string[] {
    const target = grpcTargetOfRoutes(cluster);
    return target === undefined ? [] : [`${target.host}:${target.port}`, ...(this.#short.get(cluster) ?? [])];
  }
}

/** The full name of a host such as `web`, `web.shop` or `web.shop.svc`, as seen from the namespace `shop`. */
function fullHost(host: string, domain: string): string {
  const [name = "", ...rest] = host.split(".");
  const suffix = rest.join(".");
  return suffix === "" || domain.startsWith(`${suffix}.`) ? `${name}.${domain}` : host;
}

/** The routes of proxyless gRPC clients: for each service, the routes that sidecars have in the port's table. */
export class GrpcRouteView implements ResourceView {
  readonly #tables: ResourceView;
  /**
   * The names that were requested, by table, because a change of the table changes each of them. The stream's limit of
   * names bounds them.
   */
  readonly #requestedNames = new Map<string, Set<string>>();

  constructor(tables: ResourceView) {
    this.#tables = tables;
  }

  get(name: string): EncodedResource | undefined {
    const target = grpcTargetOfRoutes(name);
    if (target === undefined) return undefined;
    const port = String(target.port);
    this.#requestedNames.set(port, (this.#requestedNames.get(port) ?? new Set()).add(name));
    const table = this.#tables.get(port);
    return table === undefined ? undefined : grpcRoutes(target, table);
  }

  all(): Iterable<EncodedResource> {
    return [];
  }

  forget(name: string): void {
    const port = String(grpcTargetOfRoutes(name)?.port);
    const requested = this.#requestedNames.get(port);
    requested?.delete(name);
    if (requested?.size === 0) this.#requestedNames.delete(port);
  }

  known(): boolean {
    return this.#tables.known?.() ?? true;
  }

  subscribe(changed: (names: readonly string[]) => void): Disposable {
    return this.#tables.subscribe((tables) => {
      const names = tables.flatMap((table) => [...(this.#requestedNames.get(table) ?? [])]);
      if (names.length > 0) changed(names);
    });
  }
}
