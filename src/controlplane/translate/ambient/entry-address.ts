import { create } from "@bufbuild/protobuf";
import { ambientServiceKey, entryPortsOf, type AmbientService } from "../../model/ambient/ambient-service.ts";
import { canonicalName, canonicalRevision } from "../../model/canonical.ts";
import type { Labels, MeshSettings, ServiceEntryFacts, WorkloadEntryFacts } from "../../model/facts.ts";
import { addressBytes } from "../../model/ip-address.ts";
import { workloadEntryLabels, workloadNameOfEntry } from "../../model/workload-entry.ts";
import { localityFromText } from "../../model/service/service-endpoint-model.ts";
import { isTunnelled, tunnelsItself } from "../../model/service/tunnel-servers.ts";
import type { Waypoint } from "../../model/ambient/waypoint.ts";
import {
  AddressSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
  type Address,
} from "../../../wire/workload/index.ts";
import { explicitTrustDomain, gatewayAddress, localityOf, servicePortsOf } from "./workload-address.ts";

type EntrySpec = WorkloadEntryFacts["spec"];

export interface EntryContext {
  readonly mesh: MeshSettings;
  readonly services: readonly AmbientService[];
  readonly policies: readonly string[];
  readonly waypoint: Waypoint | undefined;
}

const group = "networking.istio.io";

export function workloadEntryUid(
  { namespace, name }: Pick<WorkloadEntryFacts, "namespace" | "name">,
  clusterId: string,
): string {
  return `${clusterId}/${group}/WorkloadEntry/${namespace}/${name}`;
}

export function workloadEntryAddress(entry: WorkloadEntryFacts, context: EntryContext): Address {
  const labels = workloadEntryLabels(entry);
  return entryAddress(entry.spec, {
    ...context,
    uid: workloadEntryUid(entry, context.mesh.clusterId),
    object: entry,
    labels,
    workloadName: workloadNameOfEntry(entry),
    healthy: entry.unhealthy !== true,
  });
}

/** The workload of one endpoint of a ServiceEntry, or of the entry's host if proxies resolve the host. */
export function serviceEntryEndpointAddress(
  entry: ServiceEntryFacts,
  spec: EntrySpec,
  context: EntryContext,
): readonly [uid: string, address: Address] {
  const uid = `${context.mesh.clusterId}/${group}/ServiceEntry/${entry.namespace}/${entry.name}/${spec.address ?? ""}`;
  return [
    uid,
    entryAddress(spec, {
      ...context,
      uid,
      object: entry,
      labels: entry.labels,
      workloadName: entry.name,
      healthy: true,
    }),
  ];
}

interface EntryWorkload extends EntryContext {
  readonly uid: string;
  readonly object: { readonly namespace: string; readonly name: string; readonly annotations: Labels };
  readonly labels: Labels;
  readonly workloadName: string;
  readonly healthy: boolean;
}

function entryAddress(
  spec: EntrySpec,
  { mesh, services, policies, waypoint, uid, object, labels, workloadName, healthy }: EntryWorkload,
): Address {
  const address = addressBytes(spec.address ?? "");
  const native = tunnelsItself(labels);
  const workload = create(WorkloadSchema, {
    uid,
    name: object.name,
    namespace: object.namespace,
    addresses: address === undefined ? [] : [address],
    hostname: address === undefined ? (spec.address ?? "") : "",
    network: spec.network ?? mesh.network,
    tunnelProtocol: isTunnelled(labels, object.annotations) ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    nativeTunnel: native,
    trustDomain: explicitTrustDomain(mesh),
    serviceAccount: spec.serviceAccount ?? "",
    canonicalName: canonicalName(labels, workloadName),
    canonicalRevision: canonicalRevision(labels),
    // Use POD as upstream does: the API has no type for workloads that are not pods.
    workloadType: WorkloadType.POD,
    workloadName,
    services: servicePortsOf(services, (service) => entryPortsOf(service, spec.ports)),
    authorizationPolicies: [...policies],
    status: healthy ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: mesh.clusterId,
  });
  const locality = localityOf(spec.locality === undefined ? undefined : localityFromText(spec.locality));
  if (locality !== undefined) workload.locality = locality;
  if (spec.weight !== undefined) workload.capacity = spec.weight;
  if (waypoint !== undefined) workload.waypoint = gatewayAddress(waypoint, mesh.domain);
  return create(AddressSchema, { type: { case: "workload", value: workload } });
}

/** The endpoints of a ServiceEntry: those that it lists, or each of its hosts if the proxy resolves hosts. */
export function endpointsOfEntry(
  { spec }: ServiceEntryFacts,
  services: readonly AmbientService[],
): readonly { readonly spec: EntrySpec; readonly services: readonly AmbientService[]; readonly listed: boolean }[] {
  if (spec.endpoints.length > 0) return spec.endpoints.map((endpoint) => ({ spec: endpoint, services, listed: true }));
  const resolved =
    spec.resolution === "DNS" || spec.resolution === "DYNAMIC_DNS" || spec.resolution === "DNS_ROUND_ROBIN";
  if (!resolved || spec.workloadSelector !== undefined) return [];
  return services.map((service) => ({
    spec: { address: service.hostname, ports: {}, labels: {} },
    services: [service],
    listed: false,
  }));
}

export function serviceKeysOfEntry({ namespace, spec }: ServiceEntryFacts): readonly string[] {
  return [...new Set(spec.hosts)].map((hostname) => ambientServiceKey({ namespace, hostname }));
}
