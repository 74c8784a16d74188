import type { AppProtocol, Labels, ServiceFacts } from "../facts.ts";

/** How a proxy finds the endpoints of a service. */
export type ServiceResolution =
  /** The control plane tells them. */
  | "endpoints"
  /** Where the application connects to is where the connection goes. */
  | "passthrough"
  /** The proxy resolves names: all addresses, or one at a time. */
  | "dns"
  | "dns-round-robin"
  /** The name in each request, or the server name of each connection, is resolved. */
  | "dynamic-dns"
  /** A name for another service. */
  | "alias";

export interface ServicePortModel {
  readonly name: string;
  readonly port: number;
  readonly protocol: AppProtocol;
  /** In a ServiceEntry: the target port of endpoints that name none. */
  readonly target: number;
}

/** A destination as proxies see it, from any registry. */
export interface ServiceModel {
  readonly registry: "Kubernetes" | "External";
  readonly namespace: string;
  /** Lower case; of a ServiceEntry it may be a wildcard. */
  readonly hostname: string;
  /** The Service's name. For a ServiceEntry, the host. */
  readonly name: string;
  /** Of the object. */
  readonly objectName: string;
  readonly createdAt: string;
  readonly labels: Labels;
  readonly ports: readonly ServicePortModel[];
  readonly resolution: ServiceResolution;
  /** Its addresses and CIDRs. Empty: it is told apart by name. */
  readonly addresses: readonly string[];
  /**
   * Addresses that a control plane has assigned to a ServiceEntry's host. Proxies that answer DNS themselves, and
   * waypoints, use them.
   */
  readonly automaticAddresses?: readonly string[];
  /** The addresses in other clusters that have the service. */
  readonly addressesByCluster?: Readonly<Record<string, readonly string[]>>;
  readonly meshExternal: boolean;
  /** `*`, or namespaces. Empty: nobody sees it. */
  readonly visibleIn: readonly string[];
  readonly selector: Labels;
  readonly subjectAltNames: readonly string[];
  /** For an alias: the host that it leads to. */
  readonly aliasOf: string;
  readonly preference: ServiceFacts["preference"];
  readonly waypointCanaryWeight?: string | undefined;
}
