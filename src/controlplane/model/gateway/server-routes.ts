import { proxyLimits, routeUnits } from "../../../api/istio/index.ts";
import { byCreation, factsKey } from "../facts.ts";
import type { VirtualServiceModel } from "../routing/virtual-service.ts";
import { hostCovers, isWildcard, wildcardSet, wildcardsOver, type WildcardSet } from "../service/service-hostname.ts";
import type { GatewayServerModel, MergedGateway } from "./classic-gateway.ts";

/** The VirtualServices that have routes at the servers of a proxy. */
export interface ServerRoutes {
  /** The VirtualServices of each server, in the order in which they apply. Servers without any have no item. */
  readonly of: ReadonlyMap<GatewayServerModel, readonly ServedVirtualService[]>;
  readonly withheld: readonly WithheldServers[];
}

export interface ServedVirtualService {
  readonly model: VirtualServiceModel;
  /** The hosts that it and the server have in common. */
  readonly hosts: ReadonlySet<string>;
}

/** The servers at which a VirtualService has no routes, because its namespace would have too many in the proxy. */
export interface WithheldServers {
  /** `namespace/name`. */
  readonly virtualService: string;
  readonly count: number;
  /** The first of them, such as `port 443 of shop/public`. */
  readonly first: string;
}

/**
 * Finds the VirtualServices of each server of a proxy. `virtualServicesOf` returns those of a Gateway, in the order in
 * which they apply.
 *
 * Each server has all routes of its VirtualServices, once for each host. A user could multiply thousands of servers by
 * hundreds of VirtualServices, until the control plane has no time for anything else. So the VirtualServices of one
 * namespace share a maximum number of routes. The oldest ones come first.
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
      for (const [server, hosts] of gateway.commonWith(model)) {
        const cost = units * hosts.size;
        if (total + cost > proxyLimits.routes) {
          count += 1;
          first ||= `port ${server.declaredPort} of ${server.gateway}`;
          continue;
        }
        total += cost;
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

/** Whether the same VirtualServices have routes at the same servers. */
export function sameServerRoutes(left: ServerRoutes, right: ServerRoutes): boolean {
  if (left.of.size !== right.of.size || left.withheld.length !== right.withheld.length) return false;
  for (const [server, served] of left.of) {
    const others = right.of.get(server);
    if (others?.length !== served.length || !served.every(({ model }, index) => model === others[index]?.model))
      return false;
  }
  return left.withheld.every((one, index) => {
    const other = right.withheld[index];
    return one.virtualService === other?.virtualService && one.count === other.count && one.first === other.first;
  });
}

/** A host of a server, which may be limited to the VirtualServices of one namespace. */
interface HostPlace {
  readonly server: number;
  readonly host: string;
  /** Empty means all. */
  readonly namespace: string;
}

/** The servers and the VirtualServices of one Gateway. */
class GatewayPlaces {
  readonly servers: readonly GatewayServerModel[];
  /** The place of each VirtualService in the order in which they apply. */
  readonly places: ReadonlyMap<VirtualServiceModel, number>;
  readonly #byHost = new Map<string, HostPlace[]>();
  /** The hosts by each wildcard that covers them, except wildcards for a part of a label. */
  readonly #byWildcard = new Map<string, HostPlace[]>();
  readonly #all: HostPlace[] = [];
  readonly #wildcards: WildcardSet;

  constructor(servers: readonly GatewayServerModel[], models: readonly VirtualServiceModel[]) {
    this.servers = servers;
    this.places = new Map(models.map((model, index) => [model, index]));
    for (const [server, { hosts }] of servers.entries())
      for (const text of hosts) {
        const slash = text.indexOf("/");
        const place = { server, host: text.slice(slash + 1), namespace: text.slice(0, Math.max(0, slash)) };
        this.#all.push(place);
        addTo(this.#byHost, place.host, place);
        for (const wildcard of wildcardsOfLabels(place.host)) addTo(this.#byWildcard, wildcard, place);
      }
    this.#wildcards = wildcardSet([...this.#byHost.keys()].filter(isWildcard));
  }

  /** The servers that have hosts in common with a VirtualService, with these hosts: the narrower ones of each pair. */
  *commonWith(model: VirtualServiceModel): Iterable<readonly [GatewayServerModel, ReadonlySet<string>]> {
    if (!this.places.has(model)) return;
    const found = new Map<number, Set<string>>();
    const note = ({ server, namespace }: HostPlace, host: string): void => {
      if (namespace !== "" && namespace !== model.namespace) return;
      const hosts = found.get(server);
      if (hosts === undefined) found.set(server, new Set([host]));
      else hosts.add(host);
    };
    for (const own of model.hosts) {
      for (const name of [own, ...wildcardsOver(own, this.#wildcards)])
        for (const place of this.#byHost.get(name) ?? []) note(place, own);
      if (isWildcard(own)) for (const place of this.#coveredBy(own)) note(place, place.host);
    }
    for (const index of [...found.keys()].sort((left, right) => left - right)) {
      const [server, hosts] = [this.servers[index], found.get(index)];
      if (server !== undefined && hosts !== undefined) yield [server, hosts];
    }
  }

  #coveredBy(wildcard: string): readonly HostPlace[] {
    return wildcard === "*" || wildcard.startsWith("*.")
      ? (this.#byWildcard.get(wildcard) ?? [])
      : this.#all.filter(({ host }) => hostCovers(wildcard, host));
  }
}

/** The wildcards for whole labels that cover a host, other than the host itself. */
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
