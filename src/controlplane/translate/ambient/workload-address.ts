import { create } from "@bufbuild/protobuf";
import { istioLabels } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { hbonePort } from "../../../wire/hbone/index.ts";
import { describedGatewayOf, type AmbientGateway, type AmbientGateways } from "../../model/ambient/ambient-networks.ts";
import { addressBytes } from "../../model/ip-address.ts";
import { canonicalName, canonicalRevision } from "../../model/canonical.ts";
import {
  ambientServiceKey,
  podPortsOf,
  type AmbientService,
  type PortPair,
} from "../../model/ambient/ambient-service.ts";
import type { MeshSettings, NodeFacts, PodFacts, SliceFacts } from "../../model/facts.ts";
import { tunnelsItself } from "../../model/service/tunnel-servers.ts";
import { waypointHostname, type InboundBinding, type Waypoint } from "../../model/ambient/waypoint.ts";
import {
  AddressSchema,
  ApplicationTunnel_Protocol,
  ApplicationTunnelSchema,
  GatewayAddressSchema,
  LocalitySchema,
  NetworkMode,
  PortListSchema,
  TunnelProtocol,
  WorkloadSchema,
  WorkloadStatus,
  WorkloadType,
  type Address,
  type ApplicationTunnel,
  type GatewayAddress,
  type Locality,
  type PortList,
} from "../../../wire/workload/index.ts";

/** The trust domain that ztunnels assume for a workload that names none. */
const impliedTrustDomain = "cluster.local";

export interface PodContext {
  readonly mesh: MeshSettings;
  readonly node: NodeFacts | undefined;
  /** Services whose selector matches the pod's labels, and those that list it as an endpoint. */
  readonly services: readonly AmbientService[];
  readonly policies: readonly string[];
  readonly waypoint: Waypoint | undefined;
  /** The waypoint whose pod this is, if the waypoint has no Service. */
  readonly serves?: Waypoint | undefined;
  /** Whether the workload is healthy. Absent means that the pod's readiness decides. */
  readonly healthy?: boolean;
  /** The workload's weight among the endpoints of its services. Absent means equal weights. */
  readonly capacity?: number | undefined;
  readonly applicationTunnel?: InboundBinding | undefined;
}

export function podUid(pod: Pick<PodFacts, "namespace" | "name">, clusterId: string): string {
  return `${clusterId}//Pod/${pod.namespace}/${pod.name}`;
}

export function podAddress(pod: PodFacts, context: PodContext): Address {
  const { mesh, services } = context;
  const native = tunnelsItself(pod.labels);
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
    // Use POD whatever created the pod, as upstream does. ztunnels of all releases expect that.
    workloadType: WorkloadType.POD,
    workloadName: pod.workloadName,
    nativeTunnel: native,
    services: {
      ...servicePortsOf(services, (service) => podPortsOf(service, pod)),
      ...(context.serves === undefined
        ? {}
        : {
            [waypointResourceName(context.serves, mesh)]: create(PortListSchema, {
              ports: [waypointPort(context.serves)],
            }),
          }),
    },
    authorizationPolicies: [...context.policies],
    status: (context.healthy ?? pod.ready) ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
    clusterId: mesh.clusterId,
    networkMode: pod.hostNetwork ? NetworkMode.HOST_NETWORK : NetworkMode.STANDARD,
  });
  const locality = localityOf(context.node);
  if (locality !== undefined) workload.locality = locality;
  if (context.capacity !== undefined) workload.capacity = context.capacity;
  if (context.applicationTunnel !== undefined)
    workload.applicationTunnel = applicationTunnel(context.applicationTunnel);
  if (context.waypoint !== undefined) workload.waypoint = gatewayAddress(context.waypoint, mesh.domain);
  return create(AddressSchema, { type: { case: "workload", value: workload } });
}

/**
 * One address for each endpoint of a slice that is not a pod: the API server, or hosts that a user lists by hand.
 * Nothing else is known about them.
 */
export function sliceAddresses(
  slice: SliceFacts,
  service: AmbientService,
  mesh: MeshSettings,
): readonly (readonly [uid: string, address: Address])[] {
  const services = servicePortsOf([service], () => slicePorts(service, slice));
  const seen = new Set<string>();
  return slice.endpoints.flatMap((endpoint) => {
    const [key] = endpoint.addresses;
    if (endpoint.pod !== "" || key === undefined || seen.has(key)) return [];
    seen.add(key);
    const addresses = endpoint.addresses.flatMap((text) => addressBytes(text) ?? []);
    if (addresses.length < endpoint.addresses.length) return [];
    const uid = `${mesh.clusterId}/discovery.k8s.io/EndpointSlice/${slice.namespace}/${slice.name}/${key}`;
    const workload = create(WorkloadSchema, {
      uid,
      name: slice.name,
      namespace: slice.namespace,
      addresses,
      network: mesh.network,
      trustDomain: explicitTrustDomain(mesh),
      services,
      status: endpoint.ready ? WorkloadStatus.HEALTHY : WorkloadStatus.UNHEALTHY,
      clusterId: mesh.clusterId,
      // Several pods may have the address, so the workload must not own it.
      networkMode: NetworkMode.HOST_NETWORK,
    });
    return [[uid, create(AddressSchema, { type: { case: "workload", value: workload } })] as const];
  });
}

/** The mesh's trust domain, or empty if ztunnels assume it anyway. */
export function explicitTrustDomain(mesh: MeshSettings): string {
  return mesh.trustDomain === impliedTrustDomain ? "" : mesh.trustDomain;
}

/** The name of the resource that stands for the Service of a waypoint without one. */
export function waypointResourceName(waypoint: Waypoint, mesh: MeshSettings): string {
  return `${waypoint.namespace}/${waypointHostname(waypoint, mesh.domain)}`;
}

export function waypointPort({ port }: Waypoint): PortPair {
  return { servicePort: port, targetPort: port };
}

export function gatewayAddress(waypoint: Waypoint, domain: string): GatewayAddress {
  const hostname = { namespace: waypoint.namespace, hostname: waypointHostname(waypoint, domain) };
  return create(GatewayAddressSchema, {
    destination: { case: "hostname", value: hostname },
    hboneMtlsPort: waypoint.port,
  });
}

export function gatewayReference({ namespace, network, address, hbonePort: port }: AmbientGateway): GatewayAddress {
  const bytes = addressBytes(address);
  return create(GatewayAddressSchema, {
    destination:
      bytes === undefined
        ? { case: "hostname", value: { namespace, hostname: address } }
        : { case: "address", value: { network, address: bytes } },
    hboneMtlsPort: port === 0 ? hbonePort : port,
  });
}

/**
 * Adds the gateway of the workload's network, if a Gateway of the control plane's cluster describes one. As in upstream
 * Istio, a workload of the control plane's own network also gets it, because clients in another network may use it.
 */
export function behindGateway(address: Address, gateways: AmbientGateways, reader: CollectionReader): Address {
  if (address.type.case !== "workload") return address;
  const workload = address.type.value;
  const gateway = describedGatewayOf(gateways, workload.network, reader);
  if (gateway !== undefined) workload.networkGateway = gatewayReference(gateway);
  return address;
}

export function localityOf(node: Pick<NodeFacts, "region" | "zone" | "subzone"> | undefined): Locality | undefined {
  if (node === undefined || (node.region === "" && node.zone === "" && node.subzone === "")) return undefined;
  return create(LocalitySchema, { region: node.region, zone: node.zone, subzone: node.subzone });
}

/** The ports of each service by `namespace/hostname`, sorted so that equal content has equal bytes. */
export function servicePortsOf(
  services: readonly AmbientService[],
  portsOf: (service: AmbientService) => readonly PortPair[],
): Record<string, PortList> {
  const entries = services.map(
    (service) =>
      [
        ambientServiceKey(service),
        create(PortListSchema, { ports: portsOf(service).map((port) => ({ ...port })) }),
      ] as const,
  );
  return Object.fromEntries(entries.sort(([left], [right]) => (left < right ? -1 : 1)));
}

function slicePorts(service: AmbientService, slice: SliceFacts): readonly PortPair[] {
  return slice.ports.flatMap((port) => {
    const found = service.ports.find((candidate) => candidate.name === port.name);
    return found === undefined ? [] : { servicePort: found.port, targetPort: port.port };
  });
}

function applicationTunnel({ protocol, port }: InboundBinding): ApplicationTunnel {
  return create(ApplicationTunnelSchema, {
    protocol: protocol === "PROXY" ? ApplicationTunnel_Protocol.PROXY : ApplicationTunnel_Protocol.NONE,
    port,
  });
}
