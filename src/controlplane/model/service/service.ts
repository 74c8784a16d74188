import type { AppProtocol, Labels, ServiceFacts } from "../facts.ts";

/** How a proxy finds the endpoints of a service. */
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
  /** The service is an alias of another service. */
  | "alias";

export interface ServicePortModel {
  readonly name: string;
  readonly port: number;
  readonly protocol: AppProtocol;
  /** The target port of a ServiceEntry's endpoints that name none. */
  readonly target: number;
}

/** A destination from any registry, as proxies see it. */
export interface ServiceModel {
  readonly registry: "Kubernetes" | "External";
  readonly namespace: string;
  /** In lower case. For a ServiceEntry, it may be a wildcard. */
  readonly hostname: string;
  /**
   * Distinguishes the services of one namespace and host if their ServiceEntries are exported to different namespaces.
   * Absent for the service of the oldest entry.
   */
  readonly variant?: string;
  /** The Service's name. For a ServiceEntry, the host. */
  readonly name: string;
  /** The object's name. */
  readonly objectName: string;
  readonly createdAt: string;
  readonly labels: Labels;
  readonly ports: readonly ServicePortModel[];
  /** The ports of the oldest ServiceEntry. Absent if no other one adds ports. */
  readonly ownPorts?: readonly ServicePortModel[];
  readonly resolution: ServiceResolution;
  /**
   * Set if a proxy that resolves the service's name connects to whichever address answers first. If absent, the proxy
   * uses the addresses in turn.
   */
  readonly racesAddresses?: true;
  /** The service's addresses and CIDRs. If empty, traffic is matched by name. */
  readonly addresses: readonly string[];
  /**
   * The addresses of each port whose ServiceEntry has other addresses than the oldest one. Absent if there is no such
   * port.
   */
  readonly addressesOfPorts?: ReadonlyMap<number, Pick<ServiceModel, "addresses" | "lostAddresses">>;
  /**
   * Set if all addresses that the ServiceEntry names belong to entries of other namespaces. The service then has no
   * listener.
   */
  readonly lostAddresses?: true;
  /**
   * Addresses that a control plane assigned to a ServiceEntry's host. Waypoints, and proxies that answer DNS
   * themselves, use them.
   */
  readonly automaticAddresses?: readonly string[];
  /** The service's addresses in other clusters. */
  readonly addressesByCluster?: Readonly<Record<string, readonly string[]>>;
  /** Set if the service's host is in `clusterset.local`, the domain of exported services. */
  readonly clusterSet?: true;
  readonly meshExternal: boolean;
  /** `*`, or namespaces. Empty means that nobody sees it. */
  readonly visibleIn: readonly string[];
  readonly selector: Labels;
  readonly subjectAltNames: readonly string[];
  /** The host to which an alias points, through further aliases. */
  readonly aliasOf: string;
  readonly preference: ServiceFacts["preference"];
  readonly waypointCanaryWeight?: string | undefined;
}
