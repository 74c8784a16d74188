import { hostCovers, isWildcard, proxyLimits, routeUnits } from "../../../api/istio/index.ts";
import { byCreation, factsKey } from "../facts.ts";
import type { VirtualServiceModel } from "../routing/virtual-service.ts";
import { wildcardSet, wildcardsOver, type WildcardSet } from "../service/service-hostname.ts";
import type { GatewayServerModel, MergedGateway } from "./classic-gateway.ts";

export interface ServerRoutes {
  /** The VirtualServices of each server, in the order in which they apply. A server without any has no item. */
  readonly of: ReadonlyMap<GatewayServerModel, readonly ServedVirtualService[]>;
  readonly withheld: readonly WithheldServers[];
}

export interface ServedVirtualService {
  readonly model: VirtualServiceModel;
  readonly hosts: ReadonlySet<string>;
}

/** The servers at which a VirtualService has no routes, because its namespace would have too many in the proxy. */
export interface WithheldServers {
  /** The VirtualService as `namespace/name`. */
  readonly virtualService: string;
  readonly count: number;
  /** Describes the first of these servers, for example `port 443 of shop/public`. */
  readonly first: string;
}

/**
 * Finds the VirtualServices of each server of a proxy. `virtualServicesOf` returns those of a Gateway, in the order in
 * which they apply. Each server has all routes of its VirtualServices, once for each host. A user with thousands of
 * servers and hundreds of VirtualServices could keep the control plane busy. So the VirtualServices of one namespace
 * share a maximum number of routes, which the oldest ones use first.
 */
export function serverRoutes(
  { servers }: Pick<MergedGateway, "servers">,
  virtualServicesOf: (gateway: string) => readonly VirtualServiceModel[],
): ServerRoutes {
  const gateways = [...Map.groupBy(servers, ({ gateway }) => gateway)].map(
    ([gateway, own]) => new GatewayPlaces(own, virtualServicesOf(gateway)),
  );
  const models = new Set(gateways.flatMap(({ places }) => [...places.keys()]));
  const totals = new Map<string, number>();
  const withheld: WithheldServers[] = [];
  const granted = new Map<GatewayServerModel, ServedVirtualService[]>();
  for (const model of [...models].sort(byCreation)) {
    const units = routeUnits(model);
    let total = totals.get(model.namespace) ?? 0;
    let [count, first] = [0, ""];
    for (const gateway of gateways)
      for (const { server, parts } of gateway.matchesOf(model)) {
        const hosts = joined(parts, (proxyLimits.routes - total) / units);
        if (hosts === undefined) {
          count += 1;
          first ||= `port ${server.declaredPort} of ${server.gateway}`;
          continue;
        }
        total += units * hosts.size;
        const others = granted.get(server);
        if (others === undefined) granted.set(server, [{ model, hosts }]);
        else others.push({ model, hosts });
      }
    totals.set(model.namespace, total);
    if (count > 0) withheld.push({ virtualService: factsKey(model), count, first });
  }
  for (const { servers: own, places } of gateways)
    for (const server of own)
      granted.get(server)?.sort((left, right) => (places.get(left.model) ?? 0) - (places.get(right.model) ?? 0));
  return { of: granted, withheld };
}

export function sameServerRoutes(left: ServerRoutes, right: ServerRoutes): boolean {
  if (left.of.size !== right.of.size || left.withheld.length !== right.withheld.length) return false;
  for (const [server, served] of left.of) {
    const others = right.of.get(server);
    if (others?.length !== served.length || !served.every(({ model }, index) => model === others[index]?.model))
      return false;
  }
  return left.withheld.every(({ virtualService, count, first }, index) => {
    const other = right.withheld[index];
    return virtualService === other?.virtualService && count === other.count && first === other.first;
  });
}

/** The union of all sets. Undefined if it exceeds the maximum, so that sets which are too large are not copied. */
function joined(parts: readonly ReadonlySet<string>[], most: number): ReadonlySet<string> | undefined {
  const [only] = parts;
  if (parts.some(({ size }) => size > most)) return undefined;
  if (only !== undefined && parts.length === 1) return only;
  const all = new Set(parts.flatMap((part) => [...part]));
  return all.size > most ? undefined : all;
}

interface ServerMatch {
  readonly server: GatewayServerModel;
  /** The hosts in common, for each host of the server. Of each pair of hosts, this is the narrower one. */
  readonly parts: readonly ReadonlySet<string>[];
}

/** A host of a server. It may be only for the VirtualServices of one namespace. */
interface ServerHost {
  readonly name: string;
  /** The namespace whose VirtualServices may use the host. Empty means all. */
  readonly namespace: string;
}

class GatewayPlaces {
  readonly servers: readonly GatewayServerModel[];
  readonly places: ReadonlyMap<VirtualServiceModel, number>;
  readonly #hosts: readonly (readonly ServerHost[])[];
  readonly #byName = new Map<string, number[]>();
  /** Hosts by each wildcard that covers them, except wildcards for a part of a label. */
  readonly #byWildcard = new Map<string, string[]>();
  readonly #wildcards: WildcardSet;

  constructor(servers: readonly GatewayServerModel[], models: readonly VirtualServiceModel[]) {
    this.servers = servers;
    this.places = new Map(models.map((model, index) => [model, index]));
    this.#hosts = servers.map(({ hosts }) => hosts.map(serverHost));
    for (const [index, hosts] of this.#hosts.entries()) for (const { name } of hosts) addTo(this.#byName, name, index);
    for (const name of this.#byName.keys())
      for (const wildcard of wildcardsOfLabels(name)) addTo(this.#byWildcard, wildcard, name);
    this.#wildcards = wildcardSet([...this.#byName.keys()].filter(isWildcard));
  }

  *matchesOf(model: VirtualServiceModel): Iterable<ServerMatch> {
    if (!this.places.has(model)) return;
    const common = this.#commonBy(model.hosts);
    const indexes = new Set([...common.keys()].flatMap((name) => this.#byName.get(name) ?? []));
    for (const index of [...indexes].sort((left, right) => left - right)) {
      const server = this.servers[index];
      const parts = (this.#hosts[index] ?? []).flatMap(({ name, namespace }) =>
        namespace === "" || namespace === model.namespace ? (common.get(name) ?? []) : [],
      );
      if (server !== undefined && parts.length > 0) yield { server, parts };
    }
  }

  /**
   * The hosts that each host of a server has in common with a VirtualService. All servers with the host share the
   * result.
   */
  #commonBy(hosts: readonly string[]): ReadonlyMap<string, ReadonlySet<string>> {
    const found = new Map<string, Set<string>>();
    const note = (name: string, host: string): void => {
      const known = found.get(name);
      if (known === undefined) found.set(name, new Set([host]));
      else known.add(host);
    };
    for (const host of hosts) {
      for (const name of [host, ...wildcardsOver(host, this.#wildcards)]) if (this.#byName.has(name)) note(name, host);
      if (isWildcard(host)) for (const name of this.#coveredBy(host)) note(name, name);
    }
    return found;
  }

  #coveredBy(wildcard: string): Iterable<string> {
    return wildcard === "*" || wildcard.startsWith("*.")
      ? (this.#byWildcard.get(wildcard) ?? [])
      : [...this.#byName.keys()].filter((name) => hostCovers(wildcard, name));
  }
}

function serverHost(text: string): ServerHost {
  const slash = text.indexOf("/");
  return { name: text.slice(slash + 1), namespace: text.slice(0, Math.max(0, slash)) };
}

/** The wildcards for whole labels that cover the host, without the host itself. */
function wildcardsOfLabels(host: string): readonly string[] {
  const found = host === "*" ? [] : ["*"];
  for (let at = host.indexOf("."); at >= 0; at = host.indexOf(".", at + 1))
    if (host.slice(0, at) !== "*") found.push(`*${host.slice(at)}`);
  return found;
}

function addTo<Value>(map: Map<string, Value[]>, key: string, value: Value): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [value]);
  else known.push(value);
}
