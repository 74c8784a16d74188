import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { ClusterLoadAssignmentSchema, HealthStatus, LbEndpointSchema, type LocalityLbEndpointsSchema, type ClusterLoadAssignment, type LbEndpoint } from "../../wire/envoy/index.ts";
import { canonicalName, canonicalRevision } from "../model/canonical.ts";
import { compareText, type MeshSettings, type NodeFacts, type PodFacts, type ServiceFacts, type ServicePortFacts, type SliceFacts } from "../model/facts.ts";
import { connectOriginateName, originalDestinationFilter } from "./cluster.ts";
import { filterMetadata } from "./envoy-any.ts";

export interface EndpointContext {
  readonly mesh: MeshSettings;
  readonly slices: readonly SliceFacts[];
  readonly podOf: (key: string) => PodFacts | undefined;
  readonly nodeOf: (name: string) => NodeFacts | undefined;
  /** Whether the proxies that this is for speak HBONE. */
  readonly hbone: boolean;
}

interface LocatedEndpoint {
  readonly locality: readonly [region: string, zone: string, subzone: string];
  readonly address: string;
  readonly endpoint: LbEndpoint;
}

const tunnelLabel = "networking.istio.io/tunnel";
const tlsModeLabel = "security.istio.io/tlsMode";
const managedLabel = "gateway.istio.io/managed";
const waypointManager = "istio.io-mesh-controller";

/** A Service's ready endpoints for one port, by locality, each reached the way that its workload takes. */
export function loadAssignment(name: string, service: ServiceFacts, port: ServicePortFacts, context: EndpointContext): ClusterLoadAssignment {
  const located = context.slices
    .flatMap((slice) => endpointsOf(slice, service, port, context))
    .sort((left, right) => compareText(left.locality.join("/"), right.locality.join("/")) || compareText(left.address, right.address));
  const localities: MessageInitShape<typeof LocalityLbEndpointsSchema>[] = [];
  const byLocality = Map.groupBy(located, (entry) => entry.locality.join("/"));
  for (const entries of byLocality.values()) {
    const [region = "", zone = "", subZone = ""] = entries[0]?.locality ?? [];
    localities.push({
      ...(region === "" && zone === "" && subZone === "" ? {} : { locality: { region, zone, subZone } }),
      lbEndpoints: entries.map((entry) => entry.endpoint),
      loadBalancingWeight: entries.length,
    });
  }
  return create(ClusterLoadAssignmentSchema, { clusterName: name, endpoints: localities });
}

function endpointsOf(slice: SliceFacts, service: ServiceFacts, port: ServicePortFacts, context: EndpointContext): readonly LocatedEndpoint[] {
  const target = slice.ports.find((candidate) => candidate.name === port.name)?.port;
  if (target === undefined) return [];
  return slice.endpoints
    .filter((endpoint) => endpoint.ready || service.publishNotReady)
    .flatMap((endpoint) => {
      const pod = endpoint.pod === "" ? undefined : context.podOf(endpoint.pod);
      const node = context.nodeOf(endpoint.node);
      const locality = [node?.region ?? "", node?.zone ?? "", node?.subzone ?? ""] as const;
      return endpoint.addresses.map((address) => ({ locality, address, endpoint: lbEndpoint(address, target, pod, context) }));
    });
}

function lbEndpoint(address: string, port: number, pod: PodFacts | undefined, context: EndpointContext): LbEndpoint {
  const metadata: Record<string, JsonObject> = { istio: pod === undefined ? {} : { workload: workloadText(pod, context.mesh) } };
  const tunnelled = context.hbone && pod !== undefined && takesHbone(pod);
  const destination = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  if (tunnelled) {
    metadata[originalDestinationFilter] = { local: destination };
    metadata["envoy.transport_socket_match"] = { tunnel: "http" };
  } else if (pod?.labels[tlsModeLabel] === "istio") {
    metadata["envoy.transport_socket_match"] = { tlsMode: "istio" };
  }
  return create(LbEndpointSchema, {
    hostIdentifier: {
      case: "endpoint",
      value: {
        address: tunnelled
          ? { address: { case: "envoyInternalAddress", value: { addressNameSpecifier: { case: "serverListenerName", value: connectOriginateName }, endpointId: destination } } }
          : { address: { case: "socketAddress", value: { address, portSpecifier: { case: "portValue", value: port } } } },
      },
    },
    healthStatus: HealthStatus.HEALTHY,
    loadBalancingWeight: 1,
    metadata: filterMetadata(metadata),
  });
}

/** By a ztunnel, by the workload itself, or as a waypoint. */
export function takesHbone(pod: PodFacts): boolean {
  return pod.redirected || pod.labels[tunnelLabel] === "http" || pod.labels[managedLabel] === waypointManager;
}

/** `workload;namespace;canonical name;canonical revision;cluster`, for telemetry. */
function workloadText(pod: PodFacts, mesh: MeshSettings): string {
  const revision = canonicalRevision(pod.labels);
  return [pod.workloadName, pod.namespace, canonicalName(pod.labels, pod.workloadName), revision === "latest" ? "" : revision, mesh.clusterId].join(";");
}
