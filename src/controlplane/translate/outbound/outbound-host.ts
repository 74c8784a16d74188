import type { Labels } from "../../model/facts.ts";
import type { ServiceModel } from "../../model/service/service-model.ts";

/** The client of a virtual host, if the routes depend on it. */
export interface HostClient {
  readonly namespace: string;
  readonly labels: Labels;
}

/** Where the routes of a virtual host come from. */
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
      /** Aliases by destination that this port's services are; undefined: all destinations are, and none is an alias. */
      readonly destinations: ReadonlyMap<string, string> | undefined;
    }
  /** Undefined: it is refused. */
  | { readonly from: "unknown"; readonly cluster: string | undefined };

export interface ServiceReference {
  readonly registry: ServiceModel["registry"];
  readonly key: string;
}

/**
 * A virtual host before its routes are made. Equal keys mean equal hosts, in any scope; mostly they are also the same
 * object.
 */
export interface HostPlan {
  readonly key: string;
  /** The route configuration that contains it. */
  readonly table: string;
  readonly host: string;
  readonly name: string;
  readonly domains: readonly string[];
  readonly source: HostSource;
}

/** A route configuration of a scope, sorted by the hosts' names. The host for unknown destinations is last. */
export interface RouteTable {
  readonly scope: string;
  readonly name: string;
  readonly hosts: readonly HostPlan[];
}
