import { hostCovers, isWildcard, withOwnProxyConfig } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  clientLabelNames,
  clientLabelsKey,
  failoverLabelNames,
  type DestinationRules,
  type HostRules,
} from "../../model/destination-rule-model.ts";
import { compareText, meshFailoverLabels, meshKey, type Labels, type MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { memos } from "../../model/memos.ts";
import { localityText } from "../../model/service/service-endpoint-model.ts";
import type { OutboundScope, ScopedService } from "../../model/outbound-scope.ts";
import type { ScopeChoice } from "../../model/scope-choice.ts";

export type ClientPlace = Pick<ScopeChoice, "hbone" | "locality" | "node" | "network" | "clusterId" | "networkView">;

/** The properties of a client that may change a service's clusters. */
export interface ServiceClient extends ClientPlace {
  /** Identifies all of these properties, so that clients with equal ones share it. */
  readonly key: string;
  readonly isSidecar: boolean;
  /**
   * The client's namespace. Empty if the namespace has no DestinationRules for the service and no rule names the
   * namespace.
   */
  readonly namespace: string;
  /** The labels that DestinationRules match. Others are left out. */
  readonly labels: Labels;
  readonly keepsHeaderCase: boolean;
}

/** A service as some clients see it. Scopes that see it alike share the object. */
export interface ClientService {
  readonly key: string;
  readonly client: ServiceClient;
  readonly service: ScopedService;
}

/** The services that one scope reaches. Scopes that reach the same services share one list. */
export interface ScopeServices {
  readonly scope: string;
  readonly services: readonly ClientService[];
}

/** The services that each scope reaches, by the scope's key. */
export function deriveScopeServices(
  graph: CollectionGraph,
  scopes: Collection<OutboundScope>,
  inputs: MeshInputs,
  rules: DestinationRules,
): Collection<ScopeServices> {
  return graph.derive(
    "scope-services",
    scopes,
    (scope, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      return mesh === undefined
        ? []
        : [[scope.scope, { scope: scope.scope, services: servicesOf(scope, mesh, rules, reader) }]];
    },
    sameServices,
  );
}

function servicesOf(
  scope: OutboundScope,
  mesh: MeshSettings,
  rules: DestinationRules,
  reader: CollectionReader,
): readonly ClientService[] {
  const asking = reader.lookup(rules.withClientLabels, clientLabelsKey);
  const failover = meshFailoverLabels(mesh);
  const keepsHeaderCase = withOwnProxyConfig(mesh, scope.proxyConfig).proxyHeaders.preserveHttp1HeaderCase;
  const everybody = clientOf(scope, "", [...failover, ...asking.flatMap(failoverLabelNames)], keepsHeaderCase);
  const all = everybodysServices.of(scope.services, everybody.key, () =>
    scope.services.map((service) => clientService(everybody, service)),
  );
  const own = [
    ...reader.lookup(rules.ofNamespace, scope.namespace),
    ...reader.lookup(rules.forGuests, scope.namespace),
  ];
  if (own.length === 0) return all;
  const client = clientOf(scope, scope.namespace, [...failover, ...asking.flatMap(clientLabelNames)], keepsHeaderCase);
  const isOwn = hostsOf(own);
  return all.map((entry) => (isOwn(entry.service.hostname) ? clientService(client, entry.service) : entry));
}

function hostsOf(rules: readonly HostRules[]): (hostname: string) => boolean {
  const hosts = new Set(rules.map(({ host }) => host));
  const wildcards = [...hosts].filter(isWildcard);
  return (hostname) => hosts.has(hostname) || wildcards.some((host) => hostCovers(host, hostname));
}

function clientOf(
  { kind, hbone, locality, node, network, clusterId, networkView, labels: all }: OutboundScope,
  namespace: string,
  wantedNames: readonly string[],
  keepsHeaderCase: boolean,
): ServiceClient {
  const isSidecar = kind === "sidecar";
  const labels = Object.fromEntries(
    [...new Set(wantedNames)].sort(compareText).flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])),
  );
  const place = locality === undefined ? "" : `${localityText(locality)}@${node}`;
  const from =
    network === undefined && clusterId === undefined && networkView === undefined
      ? ""
      : JSON.stringify([network, clusterId, networkView]);
  const key = [
    kind,
    hbone ? "hbone" : "",
    namespace,
    Object.keys(labels).length === 0 ? "" : JSON.stringify(labels),
    place,
    from,
    keepsHeaderCase ? "case" : "",
  ]
    .join(" ")
    .trimEnd();
  return { key, isSidecar, hbone, namespace, labels, locality, node, network, clusterId, networkView, keepsHeaderCase };
}

const everybodysServices = memos.keyed<readonly ScopedService[], readonly ClientService[]>("client-services-of-scopes");
const clientServices = memos.keyed<ScopedService, ClientService>("client-services");

function clientService(client: ServiceClient, service: ScopedService): ClientService {
  return clientServices.of(service, client.key, () => ({
    key: [client.key, service.registry, service.key, service.ports.join()].join("|"),
    client,
    service,
  }));
}

function sameServices(left: ScopeServices, right: ScopeServices): boolean {
  return (
    left.services === right.services ||
    (left.services.length === right.services.length &&
      left.services.every(
        (service, index) => service === right.services[index] || service.key === right.services[index]?.key,
      ))
  );
}
