import { userError } from "../../base/index.ts";
import { bytesToIp } from "../../net/index.ts";
import {
  Action,
  ApplicationTunnel_Protocol,
  AppProtocol,
  IPFamilies,
  LoadBalancing_HealthPolicy,
  LoadBalancing_Mode,
  LoadBalancing_Scope,
  NetworkMode,
  Scope,
  Service_Visibility,
  TunnelProtocol,
  WorkloadStatus,
  WorkloadType,
  type Authorization,
  type GatewayAddress as WireGatewayAddress,
  type LoadBalancing,
  type Match,
  type NetworkAddress as WireNetworkAddress,
  type PolicyAddress,
  type Port,
  type Service as WireService,
  type StringMatch as WireStringMatch,
  type Workload as WireWorkload,
} from "../../wire/workload/index.ts";
import type {
  AddressRange,
  AuthorizationPolicy,
  GatewayAddress,
  LoadBalancer,
  LoadBalancingScope,
  NetworkAddress,
  PolicyMatch,
  Service,
  StringMatch,
  Workload,
} from "./model.ts";

const workloadTypes: Readonly<Record<WorkloadType, string>> = {
  [WorkloadType.DEPLOYMENT]: "deployment",
  [WorkloadType.CRONJOB]: "cronjob",
  [WorkloadType.POD]: "pod",
  [WorkloadType.JOB]: "job",
};

export function workloadFromXds(wire: WireWorkload): Workload {
  const { applicationTunnel } = wire;
  return {
    uid: wire.uid,
    name: wire.name,
    namespace: wire.namespace,
    trustDomain: wire.trustDomain === "" ? "cluster.local" : wire.trustDomain,
    serviceAccount: wire.serviceAccount === "" ? "default" : wire.serviceAccount,
    network: wire.network,
    workloadIps: wire.addresses.map((bytes) => bytesToIp(bytes)),
    hostname: wire.hostname,
    protocol: wire.tunnelProtocol === TunnelProtocol.HBONE ? "HBONE" : "TCP",
    ...(wire.waypoint === undefined ? {} : { waypoint: gatewayAddress(wire.waypoint) }),
    ...(wire.networkGateway === undefined ? {} : { networkGateway: gatewayAddress(wire.networkGateway) }),
    node: wire.node,
    workloadName: wire.workloadName,
    workloadType: workloadTypes[wire.workloadType] ?? "pod",
    canonicalName: wire.canonicalName,
    canonicalRevision: wire.canonicalRevision,
    nativeTunnel: wire.nativeTunnel,
    ...(applicationTunnel === undefined
      ? {}
      : {
          applicationTunnel: {
            protocol: applicationTunnel.protocol === ApplicationTunnel_Protocol.PROXY ? "PROXY" : "NONE",
            ...(applicationTunnel.port === 0 ? {} : { port: applicationTunnel.port }),
          },
        }),
    authorizationPolicies: wire.authorizationPolicies,
    status: wire.status === WorkloadStatus.UNHEALTHY ? "Unhealthy" : "Healthy",
    clusterId: wire.clusterId,
    locality: {
      region: wire.locality?.region ?? "",
      zone: wire.locality?.zone ?? "",
      subzone: wire.locality?.subzone ?? "",
    },
    networkMode: wire.networkMode === NetworkMode.HOST_NETWORK ? "HostNetwork" : "Standard",
    capacity: wire.capacity ?? 1,
    services: new Map(Object.entries(wire.services).map(([key, list]) => [key, portMap(list.ports)])),
  };
}

const ipFamilies: Readonly<Record<IPFamilies, Service["ipFamilies"]>> = {
  [IPFamilies.AUTOMATIC]: undefined,
  [IPFamilies.IPV4_ONLY]: "IPv4",
  [IPFamilies.IPV6_ONLY]: "IPv6",
  [IPFamilies.DUAL]: "Dual",
};

const protocolNames: Readonly<Record<AppProtocol, string | undefined>> = {
  [AppProtocol.UNKNOWN]: undefined,
  [AppProtocol.HTTP11]: "http",
  [AppProtocol.HTTP2]: "http2",
  [AppProtocol.GRPC]: "grpc",
  [AppProtocol.TCP]: "tcp",
  [AppProtocol.TLS]: "tls",
};

export function serviceFromXds(wire: WireService): Service {
  const families = ipFamilies[wire.ipFamilies];
  return {
    name: wire.name,
    namespace: wire.namespace,
    hostname: wire.hostname,
    vips: wire.addresses.map(networkAddress),
    ports: portMap(wire.ports),
    protocols: new Map(
      wire.ports.flatMap(({ servicePort, appProtocol }) =>
        protocolNames[appProtocol] === undefined ? [] : [[servicePort, protocolNames[appProtocol]]],
      ),
    ),
    subjectAltNames: wire.subjectAltNames,
    ...(wire.waypoint === undefined ? {} : { waypoint: gatewayAddress(wire.waypoint) }),
    weightedWaypoints: wire.weightedWaypoints.flatMap(({ destination, weight }) =>
      destination === undefined ? [] : [{ destination: gatewayAddress(destination), weight }],
    ),
    ...(wire.loadBalancing === undefined ? {} : { loadBalancer: loadBalancer(wire.loadBalancing) }),
    ...(families === undefined ? {} : { ipFamilies: families }),
    canonical: wire.canonical,
    visibility: wire.visibility === Service_Visibility.NAMESPACE ? "Namespace" : "Public",
  };
}

function portMap(ports: readonly Port[]): ReadonlyMap<number, number> {
  return new Map(ports.map((port) => [port.servicePort, port.targetPort]));
}

function networkAddress(wire: WireNetworkAddress): NetworkAddress {
  return {
    network: wire.network,
    address: bytesToIp(wire.address),
    ...(wire.length === undefined ? {} : { length: wire.length }),
  };
}

function gatewayAddress(wire: WireGatewayAddress): GatewayAddress {
  const { destination } = wire;
  switch (destination.case) {
    case "address":
      return { destination: networkAddress(destination.value), hboneMtlsPort: wire.hboneMtlsPort };
    case "hostname":
      return {
        destination: { namespace: destination.value.namespace, hostname: destination.value.hostname },
        hboneMtlsPort: wire.hboneMtlsPort,
      };
    default:
      throw userError("xds-invalid", "a gateway address has neither an address nor a hostname");
  }
}

const scopes: Readonly<Record<LoadBalancing_Scope, LoadBalancingScope | undefined>> = {
  [LoadBalancing_Scope.UNSPECIFIED_SCOPE]: undefined,
  [LoadBalancing_Scope.REGION]: "Region",
  [LoadBalancing_Scope.ZONE]: "Zone",
  [LoadBalancing_Scope.SUBZONE]: "Subzone",
  [LoadBalancing_Scope.NODE]: "Node",
  [LoadBalancing_Scope.CLUSTER]: "Cluster",
  [LoadBalancing_Scope.NETWORK]: "Network",
};

const modes: Readonly<Record<LoadBalancing_Mode, LoadBalancer["mode"]>> = {
  [LoadBalancing_Mode.UNSPECIFIED_MODE]: "Standard",
  [LoadBalancing_Mode.STRICT]: "Strict",
  [LoadBalancing_Mode.FAILOVER]: "Failover",
  [LoadBalancing_Mode.PASSTHROUGH]: "Passthrough",
};

function loadBalancer(wire: LoadBalancing): LoadBalancer {
  return {
    mode: modes[wire.mode] ?? "Standard",
    routingPreferences: wire.routingPreference.map((scope) => scopes[scope]).filter((scope) => scope !== undefined),
    healthPolicy: wire.healthPolicy === LoadBalancing_HealthPolicy.ALLOW_ALL ? "AllowAll" : "OnlyHealthy",
  };
}

const policyScopes: Readonly<Partial<Record<Scope, AuthorizationPolicy["scope"]>>> = {
  [Scope.GLOBAL]: "Global",
  [Scope.NAMESPACE]: "Namespace",
  [Scope.WORKLOAD_SELECTOR]: "WorkloadSelector",
};

const policyActions: Readonly<Partial<Record<Action, AuthorizationPolicy["action"]>>> = {
  [Action.ALLOW]: "Allow",
  [Action.DENY]: "Deny",
};

/**
 * Converts a policy. Throws a user error if its scope or action is unknown, as upstream does. A guess could allow or
 * deny connections against the author's intent.
 */
export function policyFromXds(wire: Authorization): AuthorizationPolicy {
  const [scope, action] = [policyScopes[wire.scope], policyActions[wire.action]];
  if (scope === undefined || action === undefined)
    throw userError("xds-invalid", `a policy has the unknown scope ${wire.scope} or the unknown action ${wire.action}`);
  return {
    name: wire.name,
    namespace: wire.namespace,
    scope,
    action,
    dryRun: wire.dryRun,
    rules: wire.groups.map((group) => group.rules.map((rule) => rule.matches.map(policyMatch))),
  };
}

function policyMatch(wire: Match): PolicyMatch {
  return {
    namespaces: wire.namespaces.flatMap(stringMatch),
    notNamespaces: wire.notNamespaces.flatMap(stringMatch),
    serviceAccounts: wire.serviceAccounts.map(({ namespace, serviceAccount }) => ({ namespace, serviceAccount })),
    notServiceAccounts: wire.notServiceAccounts.map(({ namespace, serviceAccount }) => ({ namespace, serviceAccount })),
    principals: wire.principals.flatMap(stringMatch),
    notPrincipals: wire.notPrincipals.flatMap(stringMatch),
    sourceIps: wire.sourceIps.map(addressRange),
    notSourceIps: wire.notSourceIps.map(addressRange),
    destinationIps: wire.destinationIps.map(addressRange),
    notDestinationIps: wire.notDestinationIps.map(addressRange),
    destinationPorts: wire.destinationPorts,
    notDestinationPorts: wire.notDestinationPorts,
  };
}

function stringMatch(wire: WireStringMatch): StringMatch[] {
  const { matchType } = wire;
  switch (matchType.case) {
    case "exact":
    case "prefix":
    case "suffix":
      return [{ kind: matchType.case, value: matchType.value }];
    case "presence":
      return [{ kind: "presence", value: "" }];
    default:
      // An ALLOW without this match would admit more connections, so refuse the policy.
      throw userError("xds-invalid", "a string match of a policy has an unknown kind");
  }
}

function addressRange(wire: PolicyAddress): AddressRange {
  return { address: bytesToIp(wire.address), length: wire.length };
}
