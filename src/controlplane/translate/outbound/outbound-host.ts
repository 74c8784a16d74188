import type { Labels } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

/** The client of a virtual host, if the routes depend on it. */
export interface HostClient {
  readonly namespace: string;
  readonly labels: Labels;
}

/** The origin of a virtual host's routes. */
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
       * The destinations that are services of this port or ExternalName Services. The value is the host to which the
       * alias leads, and empty for a service that is no alias. Undefined if all destinations are services of this port
       * and none is an alias.
       */
      readonly destinations: ReadonlyMap<string, string> | undefined;
    }
  /** A host that no configuration names. Without a cluster, requests to it are rejected. */
  | { readonly from: "unknown"; readonly cluster: string | undefined };

export interface ServiceReference {
  readonly registry: ServiceModel["registry"];
  readonly key: string;
}

/** A virtual host without its routes. Equal keys mean equal hosts in all scopes, which usually share one object. */
export interface HostPlan {
  readonly key: string;
  /** The name of the route configuration that contains it. */
  readonly table: string;
  readonly host: string;
  readonly name: string;
  readonly domains: readonly string[];
  readonly source: HostSource;
}

/** A route configuration of a scope. Hosts are sorted by name, and the host for unknown destinations is last. */
export interface RouteTable {
  readonly scope: string;
  readonly name: string;
  readonly hosts: readonly HostPlan[];
}
