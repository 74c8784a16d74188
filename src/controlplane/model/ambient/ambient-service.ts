import { ownField } from "../../../base/index.ts";
import { automaticallyAddressedHosts, istioAnnotations } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import {
  compareText,
  factsKey,
  hostnameOf,
  meshKey,
  type AppProtocol,
  type Labels,
  type MeshSettings,
  type NamespaceFacts,
  type PodFacts,
  type ServiceEntryFacts,
  type ServiceFacts,
  type TrafficPreference,
  type WorkloadEntryFacts,
} from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { selectorKeys } from "../selection.ts";
import { givenAddresses, isGivenToOthers, singleAddress } from "../service/given-addresses.ts";
import { entryVisibility } from "../service/service-entry-visibility.ts";
import { portNamed } from "../workload-entry.ts";
import { declaredProtocol } from "../service/service-entry-model.ts";
import { targetPortOf } from "../service/service-ports.ts";

/** A service as ztunnels see it, from any registry. */
export interface AmbientService {
  readonly source: "Service" | "ServiceEntry";
  readonly namespace: string;
  readonly name: string;
  /** A ServiceEntry's host may be a wildcard. */
  readonly hostname: string;
  readonly labels: Labels;
  readonly createdAt: string;
  /** Addresses and CIDRs. */
  readonly addresses: readonly string[];
  /** Whether a control plane allocated the addresses. Absent if a user wrote them. */
  readonly isGivenAddress?: true;
  readonly ports: readonly AmbientPort[];
  readonly selector: Labels;
  readonly families: readonly string[];
  readonly subjectAltNames: readonly string[];
  /** Whether connections keep their original destination. */
  readonly passthrough: boolean;
  readonly preference: TrafficPreference;
  readonly publishNotReady: boolean;
  readonly waypointCanaryWeight?: string | undefined;
  readonly ownNamespaceOnly?: true;
}

export interface AmbientPort {
  readonly name: string;
  readonly port: number;
  /** The workloads' port. 0 means that each workload has its own number for the port, by `targetName`. */
  readonly target: number;
  readonly targetName: string;
  readonly appProtocol: AppProtocol;
}

export interface PortPair {
  readonly servicePort: number;
  readonly targetPort: number;
}

/**
 * Services of ServiceEntries, one for each host and object. If several entries have the same host, {@link
 * AmbientEntries.chosen} has the one that is used.
 */
export interface AmbientEntries {
  readonly all: Collection<AmbientService>;
  /** The service that is used for each host in each namespace, by `namespace/hostname`. */
  readonly chosen: Collection<AmbientService & { readonly canonical: boolean }>;
}

export function ambientServiceKey(service: Pick<AmbientService, "namespace" | "hostname">): string {
  return `${service.namespace}/${service.hostname}`;
}

/** A Service in ambient's form. Undefined for an ExternalName, which only DNS serves. */
export function ambientServiceOf(
  service: ServiceFacts,
  mesh: MeshSettings,
  namespace: NamespaceFacts | undefined,
): AmbientService | undefined {
  if (service.type === "ExternalName") return undefined;
  return {
    source: "Service",
    namespace: service.namespace,
    name: service.name,
    hostname: hostnameOf(service, mesh.domain),
    labels: service.labels,
    createdAt: service.createdAt,
    addresses: service.clusterAddresses,
    // As in upstream, include all ports, even those that are not TCP.
    ports: service.ports.map(({ name, port, target, appProtocol, unnamedProtocol }) => ({
      name,
      port,
      ...(typeof target === "number" ? { target, targetName: "" } : { target: 0, targetName: target }),
      appProtocol: unnamedProtocol === true ? "unknown" : appProtocol,
    })),
    selector: service.selector,
    families: service.families,
    subjectAltNames: [],
    passthrough: false,
    preference: service.inheritsPreference === true ? (namespace?.preference ?? "none") : service.preference,
    publishNotReady: service.publishNotReady,
    waypointCanaryWeight: service.waypointCanaryWeight,
  };
}

/**
 * Chooses for each host in a namespace the oldest ServiceEntry. A Service with that hostname takes precedence over all
 * entries. An address also belongs to only one owner: a Service, or the entry to which a control plane allocated the
 * address. An entry of another namespace that claims such an address is not canonical: only clients of its own
 * namespace reach it by the address.
 */
export function deriveAmbientEntries(graph: CollectionGraph, inputs: MeshInputs): AmbientEntries {
  const all = graph.derive("ambient-entries", inputs.serviceEntries, (entry, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const namespace = reader.get(inputs.namespaces, entry.namespace);
    const visibility = entryVisibility(mesh, namespace?.labels ?? {});
    if (visibility === "NONE") return [];
    const limit = visibility === "NAMESPACE" ? ({ ownNamespaceOnly: true } as const) : {};
    return entryServices(entry, namespace).map(
      (service) => [`${factsKey(entry)}/${service.hostname}`, { ...service, ...limit }] as const,
    );
  });
  const byHost = all.index("host", (service) => [service.hostname]);
  const servicesByAddress = inputs.services.index("ambient-address", ({ clusterAddresses }) =>
    clusterAddresses.flatMap(singleAddress),
  );
  const given = givenAddresses(inputs);
  // Thousands of entries may have one host, so the oldest ones are chosen once for each host.
  const hosts = graph.derive("ambient-entry-hosts", all, ({ hostname }) => [[hostname, hostname] as const]);
  const chosen = graph.derive("ambient-entries-chosen", hosts, (hostname, reader) => {
    const mesh = reader.get(inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const kubernetes = kubernetesServiceOf(hostname, mesh, inputs, reader);
    const rivals = reader.lookup(byHost, hostname);
    const first = oldest(rivals);
    return oldestOfNamespaces(rivals)
      .filter(({ namespace }) => kubernetes?.namespace !== namespace)
      .map((service) => {
        const claims = service.addresses.some(
          (address) =>
            singleAddress(address).some((key) => reader.lookup(servicesByAddress, key).length > 0) ||
            (service.isGivenAddress !== true && isGivenToOthers(address, service.namespace, given, reader)),
        );
        const canonical = kubernetes === undefined && !claims && first?.namespace === service.namespace;
        return [ambientServiceKey(service), { ...service, canonical }] as const;
      });
  });
  return { all, chosen };
}

function kubernetesServiceOf(
  hostname: string,
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): ServiceFacts | undefined {
  const suffix = `.svc.${mesh.domain}`;
  if (!hostname.endsWith(suffix)) return undefined;
  const [name = "", namespace = "", ...rest] = hostname.slice(0, -suffix.length).split(".");
  const found = rest.length > 0 ? undefined : reader.get(inputs.services, `${namespace}/${name}`);
  return found?.type === "ExternalName" ? undefined : found;
}

function olderFirst(left: AmbientService, right: AmbientService): number {
  return (
    compareText(left.createdAt, right.createdAt) ||
    compareText(left.namespace, right.namespace) ||
    compareText(left.name, right.name)
  );
}

function oldest(services: readonly AmbientService[]): AmbientService | undefined {
  let first = services[0];
  for (const service of services) if (first === undefined || olderFirst(service, first) < 0) first = service;
  return first;
}

function oldestOfNamespaces(services: readonly AmbientService[]): readonly AmbientService[] {
  const first = new Map<string, AmbientService>();
  for (const service of services) {
    const known = first.get(service.namespace);
    if (known === undefined || olderFirst(service, known) < 0) first.set(service.namespace, service);
  }
  return [...first.values()];
}

function entryServices(entry: ServiceEntryFacts, namespace: NamespaceFacts | undefined): readonly AmbientService[] {
  const { spec } = entry;
  const isPassthrough = spec.resolution === "NONE";
  const automatic = new Set(automaticallyAddressedHosts({ metadata: entry, spec }));
  return [...new Set(spec.hosts)].map((host) => ({
    source: "ServiceEntry",
    namespace: entry.namespace,
    name: entry.name,
    hostname: host,
    labels: entry.labels,
    createdAt: entry.createdAt,
    ...(automatic.has(host)
      ? { addresses: ownField(entry.allocated, host) ?? [], isGivenAddress: true as const }
      : { addresses: spec.addresses }),
    ports: spec.ports.map((port) => ({
      name: port.name ?? "",
      port: port.number,
      target: port.targetPort ?? port.number,
      targetName: "",
      appProtocol: declaredProtocol(port),
    })),
    selector: spec.workloadSelector?.labels ?? {},
    families: [],
    subjectAltNames: spec.subjectAltNames,
    passthrough: isPassthrough,
    preference: isPassthrough ? "none" : entryPreference(entry, namespace),
    publishNotReady: false,
    waypointCanaryWeight: entry.annotations[istioAnnotations.useWaypointCanaryWeight],
  }));
}

function entryPreference(entry: ServiceEntryFacts, namespace: NamespaceFacts | undefined): TrafficPreference {
  return entry.preference ?? namespace?.preference ?? "none";
}

/** An index by which the services that select a pod can be found. */
export function selectorIndexOf<Service extends { readonly namespace: string; readonly selector: Labels }>(
  services: Collection<Service>,
) {
  return services.index("selector", (service) => selectorKeys(service.namespace, service.selector));
}

/**
 * The pod's ports behind a service's ports. For a ServiceEntry, a container port with the same name as the entry's port
 * also matches.
 */
export function podPortsOf(service: AmbientService, pod: Pick<PodFacts, "containerPorts">): readonly PortPair[] {
  return service.ports.flatMap(({ port, target, targetName, name }) => {
    const wanted = targetName === "" && service.source === "ServiceEntry" ? name : targetName;
    const named =
      wanted === ""
        ? undefined
        : targetPortOf({ name, port, protocol: "TCP", target: wanted, appProtocol: "unknown" }, pod);
    const targetPort = named ?? (targetName === "" ? target : undefined);
    return targetPort === undefined ? [] : { servicePort: port, targetPort };
  });
}

/** Like {@link podPortsOf}, for a workload that is not a pod and lists its ports by name. */
export function entryPortsOf(service: AmbientService, ports: WorkloadEntryFacts["spec"]["ports"]): readonly PortPair[] {
  return service.ports.flatMap(({ port, target, targetName, name }) => {
    const targetPort = targetName === "" ? (portNamed(ports, name) ?? target) : portNamed(ports, targetName);
    return targetPort === undefined ? [] : { servicePort: port, targetPort };
  });
}
