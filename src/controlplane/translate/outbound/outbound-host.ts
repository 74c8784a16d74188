import type { Labels } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

export interface HostClient {
  readonly namespace: string;
  readonly labels: Labels;
}

export type HostSource =
  | {
      readonly from: "service";
      readonly service: ServiceReference;
      readonly port: number;
      readonly client: HostClient | undefined;
    }
  | {
      readonly from: "http-routes";
      readonly service: ServiceReference;
      readonly port: number;
      readonly client: HostClient;
    }
  | {
      readonly from: "virtual-service";
      readonly virtualService: string;
      readonly port: number;
      readonly client: HostClient | undefined;
      /**
       * The destinations that are services of this port or ExternalName Services. The value is the host to which an
       * ExternalName Service points, or empty for any other service. Undefined if all destinations are services of this
       * port and none is an ExternalName Service.
       */
      readonly destinations: ReadonlyMap<string, string> | undefined;
    }
  /** A host that no configuration names. Without a cluster, requests to it are rejected. */
  | { readonly from: "unknown"; readonly cluster: string | undefined };

export interface ServiceReference {
  readonly registry: ServiceModel["registry"];
  readonly key: string;
}

/**
 * A virtual host without its routes. Equal keys mean equal hosts, and scopes with equal hosts usually share one object.
 */
export interface HostPlan {
  readonly key: string;
  readonly table: string;
  readonly host: string;
  readonly name: string;
  readonly domains: readonly string[];
  readonly source: HostSource;
}

/** The hosts are sorted by name, but the one for unknown hosts is last. */
export interface RouteTable {
  readonly scope: string;
  readonly name: string;
  readonly hosts: readonly HostPlan[];
}
