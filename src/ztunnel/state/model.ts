import { ipFamilyOf } from "../../net/index.ts";

/**
 * A workload of the mesh. The types in this file have the field names of upstream's local configuration and config
 * dump.
 */
export interface Workload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly network: string;
  readonly workloadIps: readonly string[];
  readonly hostname: string;
  readonly protocol: "HBONE" | "TCP";
  readonly waypoint?: GatewayAddress;
  readonly networkGateway?: GatewayAddress;
  readonly node: string;
  readonly workloadName: string;
  /** `deployment`, `pod`, `job`, `cronjob`. */
  readonly workloadType: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly nativeTunnel: boolean;
  readonly applicationTunnel?: { readonly protocol: "NONE" | "PROXY"; readonly port?: number };
  /** The keys `namespace/name` of the policies that select the workload. */
  readonly authorizationPolicies: readonly string[];
  readonly status: "Healthy" | "Unhealthy";
  readonly clusterId: string;
  readonly locality: Locality;
  readonly networkMode: "Standard" | "HostNetwork";
  readonly capacity: number;
  /** Service key `namespace/hostname` -> service port -> target port. */
  readonly services: ReadonlyMap<string, ReadonlyMap<number, number>>;
}

export interface Locality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface NetworkAddress {
  readonly network: string;
  readonly address: string;
  /** Prefix length, if this is a range and `address` its first address. Absent for one address. */
  readonly length?: number;
}

/** The location of a waypoint or network gateway: an address, or the name of a service or workload. */
export interface GatewayAddress {
  readonly destination: NetworkAddress | { readonly namespace: string; readonly hostname: string };
  readonly hboneMtlsPort: number;
}

export type LoadBalancingScope = "Region" | "Zone" | "Subzone" | "Node" | "Cluster" | "Network";

export interface LoadBalancer {
  readonly mode: "Standard" | "Strict" | "Failover" | "Passthrough";
  readonly routingPreferences: readonly LoadBalancingScope[];
  readonly healthPolicy: "OnlyHealthy" | "AllowAll";
}

export interface Service {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly vips: readonly NetworkAddress[];
  /** Service port -> target port. 0 means that each endpoint has its own. */
  readonly ports: ReadonlyMap<number, number>;
  /** Service port -> application protocol, in the terms of port names (`http`, `grpc` …), if known. */
  readonly protocols?: ReadonlyMap<number, string>;
  readonly subjectAltNames: readonly string[];
  readonly waypoint?: GatewayAddress;
  readonly weightedWaypoints: readonly { readonly destination: GatewayAddress; readonly weight: number }[];
  readonly loadBalancer?: LoadBalancer;
  readonly ipFamilies?: "IPv4" | "IPv6" | "Dual";
  readonly canonical: boolean;
  readonly visibility: "Public" | "Namespace";
}

export interface StringMatch {
  readonly kind: "exact" | "prefix" | "suffix" | "presence";
  readonly value: string;
}

export interface AddressRange {
  readonly address: string;
  readonly length: number;
}

/**
 * The conditions of a policy on one connection. All fields must match. A field matches if it is empty or one of its
 * values matches. None of the values of a `not…` field may match.
 */
export interface PolicyMatch {
  readonly namespaces: readonly StringMatch[];
  readonly notNamespaces: readonly StringMatch[];
  readonly serviceAccounts: readonly { readonly namespace: string; readonly serviceAccount: string }[];
  readonly notServiceAccounts: readonly { readonly namespace: string; readonly serviceAccount: string }[];
  readonly principals: readonly StringMatch[];
  readonly notPrincipals: readonly StringMatch[];
  readonly sourceIps: readonly AddressRange[];
  readonly notSourceIps: readonly AddressRange[];
  readonly destinationIps: readonly AddressRange[];
  readonly notDestinationIps: readonly AddressRange[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
}

export interface AuthorizationPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly scope: "Global" | "Namespace" | "WorkloadSelector";
  readonly action: "Allow" | "Deny";
  readonly dryRun: boolean;
  /**
   * The rules as groups of clauses of matches. One of the groups must hold. All clauses of a group must hold. One of
   * the matches of a clause must hold.
   */
  readonly rules: readonly (readonly (readonly PolicyMatch[])[])[];
}

/** A pod that the ztunnel serves, as the CNI agent names it. */
export interface WorkloadInfo {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** Whether a service may have an address of this family. Without `ipFamilies`, it may have both families. */
export function hasFamilyOf({ ipFamilies }: Pick<Service, "ipFamilies">, address: string): boolean {
  if (ipFamilies === undefined || ipFamilies === "Dual") return true;
  return ipFamilyOf(address) === (ipFamilies === "IPv6" ? "ipv6" : "ipv4");
}

export function policyKey(policy: { readonly namespace: string; readonly name: string }): string {
  return `${policy.namespace}/${policy.name}`;
}

interface ServiceName {
  readonly namespace: string;
  readonly hostname: string;
}

// Cache the strings, because V8 finds and compares equal strings faster if they are one object. A changed service or
// workload is a new object, so no entry becomes outdated.
const serviceKeys = new WeakMap<ServiceName, string>();
const identities = new WeakMap<Workload, string>();

export function serviceKey(service: ServiceName): string {
  let key = serviceKeys.get(service);
  if (key === undefined) serviceKeys.set(service, (key = `${service.namespace}/${service.hostname}`));
  return key;
}

export function workloadIdentity(workload: Workload): string {
  let identity = identities.get(workload);
  if (identity !== undefined) return identity;
  identity = `spiffe://${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`;
  identities.set(workload, identity);
  return identity;
}
