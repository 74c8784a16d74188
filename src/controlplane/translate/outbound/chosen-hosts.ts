import { compareText, type AppProtocol, type MeshSettings } from "../../model/facts.ts";
import { memos } from "../../model/memos.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";
import { serviceDomains } from "./outbound-domain.ts";
import type { HostPlan } from "./outbound-host.ts";
import type { ResolvedService } from "./outbound-route.ts";
import { clientKey, mayHash, ownCandidate, ownerText, referenceOf, type Candidate } from "./host-candidate.ts";
import type { PlannedPort } from "./planned-port.ts";
import { virtualServiceCandidates } from "./virtual-service-hosts.ts";

/**
 * Whether a listener for the protocol has HTTP routes. It also has them if no protocol is declared, because HTTP may be
 * detected.
 */
export function isHttp(protocol: AppProtocol): boolean {
  return protocol !== "tcp" && protocol !== "tls";
}

function speaksHttp({ port: { protocol } }: ResolvedService): boolean {
  return isHttp(protocol);
}

interface AcceptedHost {
  readonly candidate: Candidate;
  readonly wanted: readonly string[];
  readonly plan: HostPlan;
}

export interface ChosenHosts {
  /** The chosen hosts, sorted by name. */
  readonly accepted: readonly AcceptedHost[];
  /** The hostnames of known services, and the domains that hosts already have. */
  readonly taken: { readonly hosts: ReadonlySet<string>; readonly domains: ReadonlySet<string> };
  /** Whether candidates were dropped because others have all of their domains. */
  readonly isCrowded: boolean;
}

export function chooseHosts(planned: PlannedPort): ChosenHosts {
  const { port, namespace, labels } = planned.port;
  const spoken = planned.services.filter(speaksHttp);
  // An alias without routes of its own is only a further name of the service that it points to.
  const routed = spoken.filter(({ service }) => service.resolution !== "alias");
  const attached = spoken.flatMap(({ service }): Candidate[] => {
    const routes = planned.httpRoutesOf?.(service, port) ?? [];
    if (routes.length === 0) return [];
    const backends = routes.flatMap(({ mesh }) => mesh.backends.flat());
    const hashes = backends.some((backend) => !("fault" in backend) && mayHash(planned, backend.host));
    const client = { namespace, labels: hashes ? labels : {} };
    return [
      {
        service,
        host: service.hostname,
        source: { from: "http-routes", service: referenceOf(service), port, client },
        key: `routes ${hashes ? clientKey(client) : namespace} ${ownerText(service)}`,
      },
    ];
  });
  const taken = new Set(attached.map(({ host }) => host));
  const ofVirtualServices = virtualServiceCandidates(
    taken.size === 0 ? spoken : spoken.filter(({ service }) => !taken.has(service.hostname)),
    planned,
  );
  for (const { host } of ofVirtualServices) taken.add(host);
  return withoutDuplicates(
    [
      ...attached,
      ...ofVirtualServices,
      ...routed.filter(({ service }) => !taken.has(service.hostname)).map((entry) => ownCandidate(entry, planned)),
    ],
    planned,
  );
}

/** The first candidate for a name or domain gets it. A short name never takes another service's full name. */
function withoutDuplicates(candidates: readonly Candidate[], planned: PlannedPort): ChosenHosts {
  const names = new Set<string>();
  const domains = new Set<string>();
  const known = new Set(candidates.flatMap(({ service }) => service?.hostname ?? []));
  const accepted: AcceptedHost[] = [];
  let isCrowded = false;
  for (const candidate of candidates) {
    const { host, service } = candidate;
    if (names.has(host)) continue;
    names.add(host);
    const wanted = service === undefined ? [host] : domainsOf(service, planned);
    const isFree = (domain: string): boolean => !domains.has(domain) && (domain === host || !known.has(domain));
    const own = wanted.every(isFree) ? wanted : wanted.filter(isFree);
    for (const domain of own) domains.add(domain);
    if (own.length > 0) accepted.push({ candidate, wanted, plan: hostPlan(candidate, own, planned.port.port) });
    else isCrowded = true;
  }
  accepted.sort((left, right) => compareText(left.plan.name, right.plan.name));
  return { accepted, taken: { hosts: known, domains }, isCrowded };
}

export function domainsOf(service: ServiceModel, { aliasesOf, port, mesh }: PlannedPort): readonly string[] {
  const aliases = aliasesOf(service.hostname);
  if (aliases.length > 0) return serviceDomains(service, aliases, port.namespace, mesh.domain);
  // The clients of all other namespaces use the same names, so they are cached.
  return spelledDomains.of(
    service,
    `${isOwnHost(service.hostname, port.namespace, mesh) ? port.namespace : ""} ${mesh.domain}`,
    () => serviceDomains(service, aliases, port.namespace, mesh.domain),
  );
}

export function hostPlan(candidate: Candidate, domains: readonly string[], port: number): HostPlan {
  const { host, source } = candidate;
  const table = String(port);
  return plans.of(domains, `${table} ${candidate.key}`, () => ({
    key: `${table}/${host} ${candidate.key} ${domains.join()}`,
    table,
    host,
    name: `${host}:${port}`,
    domains,
    source,
  }));
}

/** Whether clients of the namespace may call the host by its name without the namespace. */
function isOwnHost(host: string, namespace: string, { domain }: MeshSettings): boolean {
  return parentOf(host) === `${namespace}.svc.${domain}`;
}

export function parentOf(host: string): string {
  return host.slice(host.indexOf(".") + 1);
}

const spelledDomains = memos.keyed<ServiceModel, readonly string[]>("domains-of-services");

/** The key is the list of domains, which is unique for each host. */
const plans = memos.keyed<readonly string[], HostPlan>("host-plans");
