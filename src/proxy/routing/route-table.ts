import type { RequestView } from "./request-view.ts";
import type { RouteSearch } from "./route-search.ts";
import type { Route } from "./route.ts";

export interface VirtualHost {
  readonly name: string;
  /** The domains in lower case: `a.example`, `*.example`, `a.*` or `*`. */
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  /** Finds the first matching route. Undefined if the list is short enough to try each. */
  readonly search?: RouteSearch;
  /** Whether HTTP requests are redirected to HTTPS: all of them, or only external ones. */
  readonly requireTls: "none" | "external" | "all";
}

interface WildcardDomain {
  readonly text: string;
  readonly host: VirtualHost;
}

/** A named table of virtual hosts. It is immutable, so a request keeps the version that it started with. */
export class RouteTable {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  readonly #ignorePort: boolean;
  readonly #exact = new Map<string, VirtualHost>();
  /** Longest first. */
  readonly #suffixes: readonly WildcardDomain[];
  readonly #prefixes: readonly WildcardDomain[];
  readonly #any: VirtualHost | undefined;

  constructor(options: {
    readonly name: string;
    readonly virtualHosts: readonly VirtualHost[];
    readonly ignorePortInHostMatching?: boolean;
  }) {
    this.name = options.name;
    this.virtualHosts = options.virtualHosts;
    this.#ignorePort = options.ignorePortInHostMatching ?? false;
    const suffixes: WildcardDomain[] = [];
    const prefixes: WildcardDomain[] = [];
    for (const host of options.virtualHosts) {
      for (const domain of host.domains) {
        if (domain === "*") this.#any ??= host;
        else if (domain.startsWith("*")) suffixes.push({ text: domain.slice(1), host });
        else if (domain.endsWith("*")) prefixes.push({ text: domain.slice(0, -1), host });
        else if (!this.#exact.has(domain)) this.#exact.set(domain, host);
      }
    }
    const longestFirst = (left: WildcardDomain, right: WildcardDomain): number => right.text.length - left.text.length;
    this.#suffixes = suffixes.sort(longestFirst);
    this.#prefixes = prefixes.sort(longestFirst);
  }

  /** The names of the clusters that the table's routes may choose, except those that a request header names. */
  clusters(): Set<string> {
    const names = new Set<string>();
    for (const host of this.virtualHosts) {
      for (const { action } of host.routes) {
        if (action.kind !== "forward") continue;
        if (action.target.kind === "one") names.add(action.target.cluster);
        else if (action.target.kind === "weighted")
          for (const { cluster, weight } of action.target.clusters) if (weight > 0) names.add(cluster);
      }
    }
    return names;
  }

  /**
   * The virtual host for an authority in lower case. An exact domain comes first, then the longest suffix, the longest
   * prefix, and `*`. If several hosts have the same domain, the first one of them serves it.
   */
  virtualHost(authority: string): VirtualHost | undefined {
    if (this.#exact.size === 0 && this.#suffixes.length === 0 && this.#prefixes.length === 0) return this.#any;
    const host = this.#ignorePort ? withoutPort(authority) : authority;
    const exact = this.#exact.get(host);
    if (exact !== undefined) return exact;
    for (const domain of this.#suffixes)
      if (host.length > domain.text.length && host.endsWith(domain.text)) return domain.host;
    for (const domain of this.#prefixes)
      if (host.length > domain.text.length && host.startsWith(domain.text)) return domain.host;
    return this.#any;
  }
}

export function routeOf(host: VirtualHost, request: RequestView): Route | undefined {
  if (host.search !== undefined) return host.search.find(request);
  const isConnect = request.method === "CONNECT";
  const { routes } = host;
  for (let index = 0; index < routes.length; index += 1) {
    const route = routes[index];
    if (route !== undefined && route.forConnect === isConnect && route.matches(request)) return route;
  }
  return undefined;
}

/** The authority without its port. The brackets of an IPv6 address stay. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(":");
  if (
    colon < 0 ||
    authority.endsWith("]") ||
    (authority.startsWith("[") ? authority[colon - 1] !== "]" : authority.indexOf(":") !== colon)
  ) {
    return authority;
  }
  return authority.slice(0, colon);
}
