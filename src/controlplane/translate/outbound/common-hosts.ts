import type { MeshSettings } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import type { VirtualServiceShape } from "../../model/routing/virtual-service-shape.ts";
import type { HostPlan } from "./outbound-host.ts";
import type { ResolvedService } from "./outbound-route.ts";
import { chooseHosts, domainsOf, hostPlan, parentOf, type ChosenHosts } from "./chosen-hosts.ts";
import { clientOf } from "./host-candidate.ts";
import type { PlannedPort } from "./planned-port.ts";
import { hasRoutes } from "./virtual-service-hosts.ts";

/** The hosts of a list of services, for a client in a namespace that owns none of the services. */
interface CommonHosts {
  readonly mesh: MeshSettings;
  readonly shapes: readonly VirtualServiceShape[];
  readonly hashing: readonly string[];
  /** One digit for each VirtualService: 1 if it has routes for the client, or else 0. */
  readonly routed: string;
  readonly chosen: ChosenHosts;
  readonly plans: readonly HostPlan[];
  /**
   * Indexes of hosts that differ by client. `byParent` has those with short names, by their parent domain. `ofClients`
   * has those whose origin depends on the client.
   */
  readonly byParent: ReadonlyMap<string, readonly number[]>;
  readonly ofClients: readonly number[];
  readonly byHost: ReadonlyMap<string, number>;
}

/**
 * The maximum number of variants that are cached for one list of services. Variants differ in the VirtualServices that
 * have routes for the client, and most clients need the same variant.
 */
const maxCommon = 16;
const commonHosts = memos.memo<readonly ResolvedService[], CommonHosts[]>("common-hosts");
const nobody = { namespace: "", labels: {} };

/**
 * The common hosts with this client's differences applied. Undefined if the differences may conflict with the common
 * hosts, so that the hosts must be chosen anew.
 */
export function plansFromCommon(planned: PlannedPort): readonly HostPlan[] | undefined {
  if (planned.httpRoutesOf !== undefined) return undefined;
  const { mesh, port } = planned;
  const { chosen, plans, byParent, ofClients, byHost } = commonOf(planned);
  if (chosen.isCrowded || routesToAlias(planned, byHost)) return undefined;
  const places = new Set([
    ...ofClients,
    ...(byParent.get(`${port.namespace}.svc.${mesh.domain}`) ?? []),
    ...planned.aliased.flatMap((host) => byHost.get(host) ?? []),
  ]);
  const hosts = [...plans];
  const added = new Set<string>();
  for (const place of places) {
    const host = chosen.accepted[place];
    if (host === undefined) continue;
    const { candidate, wanted, plan } = host;
    const domains = candidate.service === undefined ? wanted : domainsOf(candidate.service, planned);
    const common = new Set(wanted);
    for (const domain of domains) {
      if (common.has(domain)) continue;
      if (added.has(domain) || chosen.taken.domains.has(domain) || chosen.taken.hosts.has(domain)) return undefined;
      added.add(domain);
    }
    if (domains.length - wanted.length !== domains.filter((domain) => !common.has(domain)).length) return undefined;
    const given = new Set(plan.domains);
    const own =
      plan.domains === wanted ? domains : domains.filter((domain) => given.has(domain) || !common.has(domain));
    const client = clientOf(port);
    hosts[place] = hostPlan(
      candidate.forClient === undefined ? candidate : { ...candidate, ...candidate.forClient(client) },
      own,
      port.port,
    );
  }
  return hosts;
}

/**
 * Whether a VirtualService may send requests to an ExternalName Service that lacks this port. The common hosts do not
 * contain such a Service.
 */
function routesToAlias(planned: PlannedPort, byHost: CommonHosts["byHost"]): boolean {
  if (planned.aliased.length === 0) return false;
  return planned.virtualServices.some(({ http }) =>
    http.some(({ destinations }) =>
      destinations.some(({ host }) => !byHost.has(host) && planned.targetOf(host) !== undefined),
    ),
  );
}

function commonOf(planned: PlannedPort): CommonHosts {
  const { services, virtualServices: shapes, hashing, mesh } = planned;
  const routed = shapes.map((shape) => (hasRoutes(shape, planned.port) ? "1" : "0")).join("");
  const known = commonHosts.of(services, () => []);
  const found = known.find(
    (common) =>
      common.mesh === mesh &&
      common.routed === routed &&
      sameItems(common.shapes, shapes) &&
      sameItems(common.hashing, hashing),
  );
  if (found !== undefined) return found;
  const chosen = chooseHosts({
    ...planned,
    port: { ...planned.port, ...nobody },
    routed,
    aliased: [],
    aliasesOf: () => [],
    targetOf: () => undefined,
  });
  const parents = Map.groupBy(chosen.accepted.keys(), (place) =>
    parentOf(chosen.accepted[place]?.candidate.host ?? ""),
  );
  const common: CommonHosts = {
    mesh,
    shapes,
    hashing,
    routed,
    chosen,
    plans: chosen.accepted.map(({ plan }) => plan),
    byParent: parents,
    ofClients: [...chosen.accepted.keys()].filter((place) => chosen.accepted[place]?.candidate.forClient !== undefined),
    byHost: new Map(chosen.accepted.map(({ candidate }, place) => [candidate.host, place])),
  };
  if (known.length >= maxCommon) known.shift();
  known.push(common);
  return common;
}

function sameItems(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((item, index) => item === right[index]);
}
