import { create } from "@bufbuild/protobuf";
import { istioLabels } from "../../api/istio/index.ts";
import { addressBytes } from "../model/ip-address.ts";
import { canonicalName, canonicalRevision } from "../model/canonical.ts";
import { hostnameOf, type MeshSettings, type NodeFacts, type PodFacts, type ServiceFacts, type SliceFacts } from "../model/facts.ts";
import { targetPortOf, tcpPortsOf } from "../model/service-ports.ts";
import { waypointHostname, type Waypoint } from "../model/waypoint.ts";
import {
  AddressSchema,
  GatewayAddressSchema,
  LocalitySchema,
  NetworkMode,
  PortListSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
  type Address,
  type GatewayAddress,
  type Locality,
  type PortList,
} from "../../wire/workload/index.ts";

const workloadTypes = { deployment: WorkloadType.DEPLOYMENT, cronjob: WorkloadType.CRONJOB, job: WorkloadType.JOB, pod: WorkloadType.POD } as const;

/** A pod whose proxy takes HBONE by itself says so by this label. */
const tunnelLabel = "networking.istio.io/tunnel";
const impliedTrustDomain = "cluster.local";

export interface PodContext {
  readonly mesh: MeshSettings;
  readonly node: NodeFacts | undefined;
  /** Those whose selector the pod's labels satisfy. */
  readonly services: readonly ServiceFacts[];
  readonly policies: readonly string[];
  /** That the workload's traffic goes through. */
  readonly waypoint: Waypoint | undefined;
  /** That the pod is one of, when no Service is in front of it. */
  readonly serves?: Waypoint | undefined;
  /** Absent: as the pod says. */
  readonly healthy?: boolean;
  /** How much it counts among the endpoints of its services; absent: as much as any other. */
  readonly capacity?: number | undefined;
}

export function podUid(pod: Pick<PodFacts, "namespace" | "name">, clusterId: string): string {
  return `${clusterId}//Pod/${pod.namespace}/${pod.name}`;
}

export function podAddress(pod: PodFacts, context: PodContext): Address {
  const { mesh, services } = context;
  const native = pod.labels[tunnelLabel] === "http";
  const workload = create(WorkloadSchema, {
    uid: podUid(pod, mesh.clusterId),
    name: pod.name,
    namespace: pod.namespace,
    addresses: pod.addresses.flatMap((address) => addressBytes(address) ?? []),
    network: pod.labels[istioLabels.network] ?? mesh.network,
    tunnelProtocol: pod.redirected || native ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
    trustDomain: explicitTrustDomain(mesh),
    serviceAccount: pod.serviceAccount,
    node: pod.node,
    canonicalName: canonicalName(pod.labels, pod.workloadName),
    canonicalRevision: canonicalRevision(pod.labels),
    workloadType: workloadTypes[pod.workloadType],
    workloadName: pod.workloadName,
    nativeTunnel: native,
    services: {
      ...servicePortsOf(services, mesh.domain, (service) => podPorts(service, pod)),
      ...(context.serves === undefined ? {} : { [waypointResourceName(context.serves, mesh)]: create(PortListSchema, { ports: [waypointPort(context.serves)] }) }),
    },
    authorizationPolicies: [...context.policies],
    status: (context.healthy ?? pod.ready) ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: mesh.clusterId,
    networkMode: pod.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
  });
  const locality = localityOf(context.node);
  if (locality !== undefined) workload.locality = locality;
  if (context.capacity !== undefined) workload.capacity = context.capacity;
  if (context.waypoint !== undefined) workload.waypoint = gatewayAddress(context.waypoint, mesh.domain);
  return create(AddressSchema, { type: { case: "workload", value: workload } });
}

/** One address for each endpoint of a slice that is no pod: the API server, hosts that a user lists by hand. */
export function sliceAddresses(slice: SliceFacts, service: ServiceFacts, mesh: MeshSettings, nodeOf: (name: string) => NodeFacts | undefined): readonly (readonly [uid: string, address: Address])[] {
  return slice.endpoints
    .filter((endpoint) => endpoint.pod === "")
    .flatMap((endpoint) =>
      endpoint.addresses.flatMap((text) => {
        const bytes = addressBytes(text);
        if (bytes === undefined) return [];
        const uid = `${mesh.clusterId}/discovery.k8s.io/EndpointSlice/${slice.namespace}/${slice.name}/${text}`;
        const workload = create(WorkloadSchema, {
          uid,
          name: slice.name,
          namespace: slice.namespace,
          addresses: [bytes],
          network: mesh.network,
          trustDomain: explicitTrustDomain(mesh),
          node: endpoint.node,
          canonicalName: service.name,
          canonicalRevision: "latest",
          workloadType: WorkloadType.POD,
          workloadName: slice.name,
          services: servicePortsOf([service], mesh.domain, () => slicePorts(service, slice)),
          status: endpoint.ready ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
          clusterId: mesh.clusterId,
        });
        const locality = localityOf(nodeOf(endpoint.node));
        if (locality !== undefined) workload.locality = locality;
        return [[uid, create(AddressSchema, { type: { case: "workload", value: workload } })] as const];
      }),
    );
}

/** Empty where the reader assumes it anyway. */
export function explicitTrustDomain(mesh: MeshSettings): string {
  return mesh.trustDomain === impliedTrustDomain ? "" : mesh.trustDomain;
}

/** The name of the resource that stands for the pods of a waypoint without a Service. */
export function waypointResourceName(waypoint: Waypoint, mesh: MeshSettings): string {
  return `${waypoint.namespace}/${waypointHostname(waypoint, mesh.domain)}`;
}

export function waypointPort({ port }: Waypoint): PortPair {
  return { servicePort: port, targetPort: port };
}

export function gatewayAddress(waypoint: Waypoint, domain: string): GatewayAddress {
  const hostname = { namespace: waypoint.namespace, hostname: waypointHostname(waypoint, domain) };
  return create(GatewayAddressSchema, { destination: { case: "hostname", value: hostname }, hboneMtlsPort: waypoint.port });
}

function localityOf(node: NodeFacts | undefined): Locality | undefined {
  if (node === undefined || (node.region === "" && node.zone === "" && node.subzone === "")) return undefined;
  return create(LocalitySchema, { region: node.region, zone: node.zone, subzone: node.subzone });
}

export interface PortPair {
  readonly servicePort: number;
  readonly targetPort: number;
}

/** By `namespace/hostname`, in the order of the keys so that equal content has equal bytes. */
function servicePortsOf(services: readonly ServiceFacts[], domain: string, portsOf: (service: ServiceFacts) => readonly PortPair[]): Record<string, PortList> {
  const entries = services.map((service) => {
    const ports = create(PortListSchema, { ports: portsOf(service).map((port) => ({ ...port })) });
    return [`${service.namespace}/${hostnameOf(service, domain)}`, ports] as const;
  });
  return Object.fromEntries(entries.sort(([left], [right]) => (left < right ? -1 : 1)));
}

function podPorts(service: ServiceFacts, pod: PodFacts): readonly PortPair[] {
  return tcpPortsOf(service).flatMap((port) => {
    const targetPort = targetPortOf(port, pod);
    return targetPort === undefined ? [] : { servicePort: port.port, targetPort };
  });
}

function slicePorts(service: ServiceFacts, slice: SliceFacts): readonly PortPair[] {
  return tcpPortsOf(service).flatMap((port) => {
    const found = slice.ports.find((candidate) => candidate.name === port.name);
    return found === undefined ? [] : { servicePort: port.port, targetPort: found.port };
  });
}
