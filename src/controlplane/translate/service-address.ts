import { create } from "@bufbuild/protobuf";
import { istioLabels } from "../../api/istio/index.ts";
import { addressBytes } from "../model/ip-address.ts";
import { hostnameOf, type AppProtocol, type MeshSettings, type ServiceFacts } from "../model/facts.ts";
import { tcpPortsOf } from "../model/service-ports.ts";
import { waypointHostname, type Waypoint, type WaypointShare } from "../model/waypoint.ts";
import {
  AddressSchema,
  AppProtocol as WireAppProtocol,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  LoadBalancingSchema,
  ServiceSchema,
  type Address,
  type LoadBalancing,
} from "../../wire/workload/index.ts";
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

/** The name of a Service's resource: `namespace/hostname`. */
export function serviceResourceName(service: ServiceFacts, domain: string): string {
  return `${service.namespace}/${hostnameOf(service, domain)}`;
}

/** `shares`: of its waypoints, the primary one first. */
export function serviceAddress(service: ServiceFacts, mesh: MeshSettings, shares: readonly WaypointShare[]): Address {
  const value = create(ServiceSchema, {
    name: service.name,
    namespace: service.namespace,
    hostname: hostnameOf(service, mesh.domain),
    addresses: [...new Set([...service.clusterAddresses, ...service.balancerAddresses])].flatMap((text) => {
      const address = addressBytes(text);
      return address === undefined ? [] : { network: mesh.network, address };
    }),
    ports: tcpPortsOf(service).map((port) => ({
      servicePort: port.port,
      targetPort: typeof port.target === "number" ? port.target : 0,
      appProtocol: appProtocols[port.appProtocol],
    })),
    ipFamilies: familiesOf(service.families),
    canonical: true,
    weightedWaypoints: shares.length < 2 ? [] : shares.map(({ waypoint, weight }) => ({ destination: gatewayAddress(waypoint, mesh.domain), weight })),
  });
  const [primary] = shares;
  if (primary !== undefined) {
    // Also where there are weights: who does not know of them takes the primary one.
    value.waypoint = gatewayAddress(primary.waypoint, mesh.domain);
    value.ingressUseWaypoint = service.labels[istioLabels.ingressUseWaypoint] === "true";
  }
  const loadBalancing = loadBalancingOf(service);
  if (loadBalancing !== undefined) value.loadBalancing = loadBalancing;
  return create(AddressSchema, { type: { case: "service", value } });
}

/** What stands for the pods of a waypoint that has no Service: a service without an address, which ztunnels balance over. */
export function waypointAddress(waypoint: Waypoint, mesh: MeshSettings): Address {
  const { name, namespace } = waypoint;
  const value = create(ServiceSchema, { name, namespace, hostname: waypointHostname(waypoint, mesh.domain), ports: [waypointPort(waypoint)], canonical: true });
  return create(AddressSchema, { type: { case: "service", value } });
}

function familiesOf(families: readonly string[]): IPFamilies {
  const has4 = families.includes("IPv4");
  const has6 = families.includes("IPv6");
  if (has4 && has6) return IPFamilies.DUAL;
  if (has4) return IPFamilies.IPV4_ONLY;
  return has6 ? IPFamilies.IPV6_ONLY : IPFamilies.AUTOMATIC;
}

function loadBalancingOf(service: ServiceFacts): LoadBalancing | undefined {
  const healthPolicy = service.publishNotReady ? LoadBalancing_HealthPolicy.ALLOW_ALL : LoadBalancing_HealthPolicy.ONLY_HEALTHY;
  switch (service.preference) {
    case "only-node":
      return create(LoadBalancingSchema, { routingPreference: [NODE], mode: LoadBalancing_Mode.STRICT, healthPolicy });
    case "close":
      return create(LoadBalancingSchema, { routingPreference: [NETWORK, REGION, ZONE], mode: LoadBalancing_Mode.FAILOVER, healthPolicy });
    case "node":
      return create(LoadBalancingSchema, { routingPreference: [NETWORK, REGION, ZONE, SUBZONE, NODE], mode: LoadBalancing_Mode.FAILOVER, healthPolicy });
    default:
      return service.publishNotReady ? create(LoadBalancingSchema, { healthPolicy }) : undefined;
  }
}
