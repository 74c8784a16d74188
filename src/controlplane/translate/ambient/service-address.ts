import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { AmbientService } from "../../model/ambient/ambient-service.ts";
import type { AppProtocol, MeshSettings } from "../../model/facts.ts";
import { cidrOf } from "../../model/ip-address.ts";
import type { WaypointShare } from "../../model/ambient/waypoint-bindings.ts";
import { waypointHostname, type Waypoint } from "../../model/ambient/waypoint.ts";
import {
  AddressSchema,
  AppProtocol as WireAppProtocol,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  LoadBalancingSchema,
  type NetworkAddressSchema,
  Service_Visibility,
  ServiceSchema,
  type Address,
  type LoadBalancing,
} from "../../../wire/workload/index.ts";
import { gatewayAddress, waypointPort } from "./workload-address.ts";

const appProtocols: Readonly<Record<AppProtocol, WireAppProtocol>> = {
  unknown: WireAppProtocol.UNKNOWN,
  http: WireAppProtocol.HTTP11,
  http2: WireAppProtocol.HTTP2,
  grpc: WireAppProtocol.GRPC,
  tcp: WireAppProtocol.TCP,
  tls: WireAppProtocol.TLS,
};

const { NETWORK, NODE, REGION, SUBZONE, ZONE } = LoadBalancing_Scope;

export interface ServiceContext {
  readonly mesh: MeshSettings;
  /** The service's waypoints, the primary one first. Empty while none can accept connections. */
  readonly shares: readonly WaypointShare[];
  /** Whether clients in all namespaces use this service for the hostname. */
  readonly canonical: boolean;
  /** Whether connections from outside the mesh also pass its waypoint. */
  readonly ingressUseWaypoint: boolean;
  readonly elsewhere?: readonly { readonly network: string; readonly address: string }[];
}

export function serviceAddress(
  service: AmbientService,
  { mesh, shares, canonical, ingressUseWaypoint, elsewhere = [] }: ServiceContext,
): Address {
  const value = create(ServiceSchema, {
    name: service.name,
    namespace: service.namespace,
    hostname: service.hostname,
    addresses: [
      ...[...new Set(service.addresses)].flatMap((text) => networkAddresses(text, mesh.network)),
      ...elsewhere.flatMap(({ address, network }) => networkAddresses(address, network)),
    ],
    ports: service.ports.map((port) => ({
      servicePort: port.port,
      targetPort: port.target,
      appProtocol: appProtocols[port.appProtocol],
    })),
    subjectAltNames: [...service.subjectAltNames],
    ipFamilies: familiesOf(service.families),
    canonical,
    visibility: service.ownNamespaceOnly === true ? Service_Visibility.NAMESPACE : Service_Visibility.PUBLIC,
    weightedWaypoints:
      shares.length < 2
        ? []
        : shares.map(({ waypoint, weight }) => ({ destination: gatewayAddress(waypoint, mesh.domain), weight })),
  });
  const [primary] = shares;
  if (primary !== undefined) {
    // Set the primary waypoint even if there are weights: a ztunnel without support for weights uses it.
    value.waypoint = gatewayAddress(primary.waypoint, mesh.domain);
    value.ingressUseWaypoint = ingressUseWaypoint;
  }
  const loadBalancing = loadBalancingOf(service);
  if (loadBalancing !== undefined) value.loadBalancing = loadBalancing;
  return create(AddressSchema, { type: { case: "service", value } });
}

/** Parses an address, or a CIDR as its first address and prefix length. Undefined for other texts. */
function networkAddresses(text: string, network: string): readonly MessageInitShape<typeof NetworkAddressSchema>[] {
  const range = cidrOf(text);
  if (range === undefined) return [];
  const { address, length } = range;
  return [
    length === address.length * 8 ? { network, address } : { network, address: firstAddress(address, length), length },
  ];
}

function firstAddress(address: Uint8Array, length: number): Uint8Array {
  return address.map((byte, index) => {
    const bits = Math.min(Math.max(length - index * 8, 0), 8);
    return byte & (0xff << (8 - bits));
  });
}

/**
 * The substitute for the Service of a waypoint without one: a service without an address, over whose pods ztunnels
 * balance connections.
 */
export function waypointAddress(waypoint: Waypoint, mesh: MeshSettings): Address {
  const { name, namespace } = waypoint;
  const value = create(ServiceSchema, {
    name,
    namespace,
    hostname: waypointHostname(waypoint, mesh.domain),
    ports: [waypointPort(waypoint)],
    canonical: true,
  });
  return create(AddressSchema, { type: { case: "service", value } });
}

function familiesOf(families: readonly string[]): IPFamilies {
  const has4 = families.includes("IPv4");
  const has6 = families.includes("IPv6");
  if (has4 && has6) return IPFamilies.DUAL;
  if (has4) return IPFamilies.IPV4_ONLY;
  return has6 ? IPFamilies.IPV6_ONLY : IPFamilies.AUTOMATIC;
}

function loadBalancingOf(service: AmbientService): LoadBalancing | undefined {
  // Health does not matter to connections that keep their original destination.
  if (service.passthrough)
    return create(LoadBalancingSchema, {
      mode: LoadBalancing_Mode.PASSTHROUGH,
      healthPolicy: LoadBalancing_HealthPolicy.ALLOW_ALL,
    });
  const healthPolicy = service.publishNotReady
    ? LoadBalancing_HealthPolicy.ALLOW_ALL
    : LoadBalancing_HealthPolicy.ONLY_HEALTHY;
  switch (service.preference) {
    case "only-node":
      return create(LoadBalancingSchema, { routingPreference: [NODE], mode: LoadBalancing_Mode.STRICT, healthPolicy });
    case "close":
      return create(LoadBalancingSchema, {
        routingPreference: [NETWORK, REGION, ZONE],
        mode: LoadBalancing_Mode.FAILOVER,
        healthPolicy,
      });
    case "node":
      return create(LoadBalancingSchema, {
        routingPreference: [NETWORK, REGION, ZONE, SUBZONE, NODE],
        mode: LoadBalancing_Mode.FAILOVER,
        healthPolicy,
      });
    default:
      return service.publishNotReady ? create(LoadBalancingSchema, { healthPolicy }) : undefined;
  }
}
