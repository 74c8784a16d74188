import type { Collection, CollectionGraph, CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import { ClusterLoadAssignmentSchema } from "../../../wire/envoy/index.ts";
import { localClusterName } from "../../../wire/xds/index.ts";
import { clusterView } from "../../model/cluster-view.ts";
import {
  compareText,
  hostnameOf,
  meshKey,
  type Labels,
  type MeshSettings,
  type PodFacts,
  type ServiceEntryFacts,
  type ServiceFacts,
  type WorkloadEntryFacts,
} from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { workloadEntryLabels } from "../../model/workload-entry.ts";
import { selecting, selectorKeys } from "../../model/selection.ts";
import {
  localityFromLabel,
  localityFromText,
  type EndpointModel,
  type LocalityModel,
} from "../../model/service/service-endpoint-model.ts";
import { getEndpoints, type ServiceEndpoints } from "../../model/service/service-endpoints.ts";
import { loadAssignment, localityGroups } from "../endpoints.ts";
import { encodeResource, sameResource, type EncodedResource } from "../resource.ts";

/** The endpoints for a sidecar of which none are known. */
export const noLocalEndpoints = encodeResource(
  ClusterLoadAssignmentSchema,
  localClusterName,
  loadAssignment(localClusterName, []),
);

export interface LocalClusters {
  /** The groups by pod, as in the scopes of inbound resources. Contains only pods whose sidecars request them. */
  readonly groups: Collection<LocalGroup>;
  /** The endpoints of each group, by {@link LocalGroup.key}. */
  readonly assignments: Collection<EncodedResource>;
}

/** Sidecars that get the same endpoints: those of one workload, roll-out (pod template) and region. */
export interface LocalGroup {
  readonly key: string;
  readonly service: LocalService | undefined;
  readonly workload: string;
  readonly labels: Labels;
  readonly region: string;
}

interface LocalService {
  readonly registry: "Kubernetes" | "External";
  readonly namespace: string;
  readonly hostname: string;
  readonly port: number;
  readonly createdAt: string;
}

interface Sources {
  readonly inputs: MeshInputs;
  readonly services: CollectionIndex<ServiceFacts>;
  readonly entries: CollectionIndex<ServiceEntryFacts>;
  readonly workloadEntries: CollectionIndex<WorkloadEntryFacts>;
}

/**
 * Labels that tell the roll-outs of a workload apart. Each roll-out has its own group, because requests spread evenly
 * only over the pods of one roll-out.
 */
const rolloutLabels = ["pod-template-hash", "rollouts-pod-template-hash"] as const;

export function deriveLocalClusters(
  graph: CollectionGraph,
  inputs: MeshInputs,
  endpoints: ServiceEndpoints,
  prefix: string,
): LocalClusters {
  const sources: Sources = {
    inputs,
    services: inputs.services.index("selector", (service) => selectorKeys(service.namespace, service.selector)),
    entries: inputs.serviceEntries.index("selector", (entry) =>
      selectorKeys(entry.namespace, entry.spec.workloadSelector?.labels ?? {}),
    ),
    workloadEntries: inputs.workloadEntries.index("namespace-address", ({ namespace, spec }) => [
      `${namespace}/${spec.address}`,
    ]),
  };
  const groups = graph.derive(
    `${prefix}local-groups`,
    inputs.pods,
    (pod, reader, scope) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (pod.sidecar?.selfDiscovery !== true || mesh === undefined || pod.addresses.length === 0) return [];
      return [[scope, groupOf(pod, mesh, sources, reader)]];
    },
    (left, right) => left.key === right.key,
  );
  const wanted = graph.flatten(
    `${prefix}wanted-local-groups`,
    groups,
    (group) => [group],
    ({ key }) => key,
  );
  return {
    groups,
    assignments: graph.derive(
      `${prefix}eds-local`,
      wanted,
      (group, reader, key) => [[key, assignmentOf(group, endpoints, reader)]],
      sameResource,
    ),
  };
}

/**
 * The group of a sidecar's pod. As in upstream, a WorkloadEntry with the pod's address replaces the pod, and only the
 * oldest service counts.
 */
function groupOf(pod: PodFacts, mesh: MeshSettings, sources: Sources, reader: CollectionReader): LocalGroup {
  const standIns = pod.addresses.flatMap((address) =>
    reader.lookup(sources.workloadEntries, `${pod.namespace}/${address}`),
  );
  const service = oldestService(pod, standIns, mesh, sources, reader);
  const labels = Object.fromEntries(rolloutLabels.map((name) => [name, pod.labels[name] ?? ""]));
  const { region } = localityOf(pod, standIns, mesh, sources, reader);
  const named =
    service === undefined ? "" : `${service.registry} ${service.namespace}/${service.hostname}|${service.port}`;
  const key = [named, pod.workloadName, ...Object.values(labels), region].join(" ");
  return { key, service, workload: pod.workloadName, labels, region };
}

function localityOf(
  pod: PodFacts,
  [standIn]: readonly WorkloadEntryFacts[],
  mesh: MeshSettings,
  { inputs }: Sources,
  reader: CollectionReader,
): LocalityModel {
  const written = standIn?.spec.locality ?? "";
  const node = clusterView(pod.clusterId, mesh, inputs, reader).node(pod.node);
  return (
    localityFromLabel(pod.labels) ??
    (written === "" ? undefined : localityFromText(written)) ?? { region: node?.region ?? "", zone: "", subzone: "" }
  );
}

function oldestService(
  pod: PodFacts,
  standIns: readonly WorkloadEntryFacts[],
  mesh: MeshSettings,
  { services, entries }: Sources,
  reader: CollectionReader,
): LocalService | undefined {
  const own = standIns.length === 0 ? [pod.labels] : standIns.map(workloadEntryLabels);
  const ofKubernetes = own
    .flatMap((labels) => selecting(services, pod.namespace, labels, ({ selector }) => selector, reader))
    .filter(({ clusterId, type }) => clusterId === pod.clusterId && type !== "ExternalName")
    .map((service) => ({
      registry: "Kubernetes" as const,
      namespace: service.namespace,
      hostname: hostnameOf(service, mesh.domain).toLowerCase(),
      port: service.ports.find(({ protocol }) => protocol === "TCP")?.port,
      createdAt: service.createdAt,
    }));
  const ofEntries = [pod.labels, ...standIns.map(workloadEntryLabels)]
    .flatMap((labels) =>
      selecting(entries, pod.namespace, labels, ({ spec }) => spec.workloadSelector?.labels ?? {}, reader),
    )
    .flatMap(({ namespace, spec, createdAt }) =>
      spec.hosts.map((host) => ({
        registry: "External" as const,
        namespace,
        hostname: host.toLowerCase(),
        port: spec.ports.find(({ protocol }) => protocol !== "UDP")?.number,
        createdAt,
      })),
    );
  return [...ofKubernetes, ...ofEntries]
    .flatMap(({ port, ...service }) => (port === undefined ? [] : { ...service, port }))
    .sort(
      (left, right) => compareText(left.createdAt, right.createdAt) || compareText(left.hostname, right.hostname),
    )[0];
}

function assignmentOf(
  { service, workload, labels, region }: LocalGroup,
  endpoints: ServiceEndpoints,
  reader: CollectionReader,
): EncodedResource {
  if (service === undefined) return noLocalEndpoints;
  const isOwn = (endpoint: EndpointModel): boolean =>
    endpoint.workload.split(";", 1)[0] === workload &&
    endpoint.locality.region === region &&
    rolloutLabels.every((name) => (endpoint.labels[name] ?? "") === labels[name]);
  const own = getEndpoints(endpoints, service, service.port, reader).filter(isOwn);
  // Only the zones of the endpoints matter: no proxy connects to them through this cluster.
  const groups = localityGroups(own, { hbone: "never", healthKnown: true });
  return encodeResource(ClusterLoadAssignmentSchema, localClusterName, loadAssignment(localClusterName, groups));
}
