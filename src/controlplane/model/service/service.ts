import type { AppProtocol, Labels, ServiceFacts } from "../facts.ts";

export type ServiceResolution =
  /** The control plane sends the endpoints. */
  | "endpoints"
  /** Connections keep their original destination. */
  | "passthrough"
  /** The proxy resolves names to all addresses, or to one address at a time. */
  | "dns"
  | "dns-round-robin"
  /** The proxy resolves the host of each request, or the server name of each connection. */
  | "dynamic-dns"
  | "alias";

export interface ServicePortModel {
  readonly name: string;
  readonly port: number;
  readonly protocol: AppProtocol;
  /** The target port of those of a ServiceEntry's endpoints that name none. */
  readonly target: number;
}

/** A destination from any registry, as proxies see it. */
export interface ServiceModel {
  readonly registry: "Kubernetes" | "External";
  readonly namespace: string;
  /** The host, in lower case. A ServiceEntry's may be a wildcard. */
  readonly hostname: string;
  /**
   * Distinguishes services with the same namespace and host, whose ServiceEntries are exported to different namespaces.
   * Absent for the service of the oldest entry.
   */
  readonly variant?: string;
  /** The Service's name or, for a ServiceEntry, the host. */
  readonly name: string;
  readonly objectName: string;
  readonly createdAt: string;
  readonly labels: Labels;
  readonly ports: readonly ServicePortModel[];
  /** The ports of the oldest ServiceEntry. Absent if no other entry adds ports. */
  readonly ownPorts?: readonly ServicePortModel[];
  readonly resolution: ServiceResolution;
  /**
   * Whether a proxy that resolves the service's name connects to whichever address answers first. Otherwise, the proxy
   * uses the addresses in turn.
   */
  readonly racesAddresses?: true;
  /** Addresses and CIDRs. If empty, traffic is matched by name. */
  readonly addresses: readonly string[];
  /** The addresses of each port. Absent if all ServiceEntries of the host have the same addresses. */
  readonly addressesOfPorts?: ReadonlyMap<number, Pick<ServiceModel, "addresses" | "lostAddresses">>;
  /**
   * Whether all addresses that the ServiceEntry names belong to entries of other namespaces. The service then has no
   * listener.
   */
  readonly lostAddresses?: true;
  /**
   * Addresses that a control plane assigned to a ServiceEntry's host. Waypoints use them, and so do proxies that answer
   * DNS.
   */
  readonly automaticAddresses?: readonly string[];
  /** The service's addresses in other clusters, by cluster. */
  readonly addressesByCluster?: Readonly<Record<string, readonly string[]>>;
  /** Whether the host is in `clusterset.local`, the domain of exported services. */
  readonly clusterSet?: true;
  readonly meshExternal: boolean;
  /** The namespaces that see the service, or `*`. Empty means none. */
  readonly visibleIn: readonly string[];
  readonly selector: Labels;
  readonly subjectAltNames: readonly string[];
  /** The host to which an alias points, after further aliases. */
  readonly aliasOf: string;
  readonly preference: ServiceFacts["preference"];
  readonly waypointCanaryWeight?: string | undefined;
}
