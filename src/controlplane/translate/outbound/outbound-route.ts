import { meshGateway, type ConsistentHash, type Destination, type HashKey } from "../../../api/istio/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { RouteModel } from "../../model/gateway/gateway-model.ts";
import type { ServiceModel, ServicePortModel } from "../../model/service/service-model.ts";
import type { ServiceSession } from "../../model/service/service-session.ts";
import type { VirtualServiceModel } from "../../model/routing/virtual-service-model.ts";
import { blackHoleName, passthroughName } from "../cluster.ts";
import { durationOfMs } from "../envoy-any.ts";
import { dynamicDnsName, dynamicDnsRoute } from "./dynamic-dns.ts";
import { serviceRoutes } from "../routing/gateway-route.ts";
import { subsetClusterName } from "../outbound-cluster.ts";
import type { HostPlan } from "./outbound-host.ts";
import type { OutboundPort } from "./outbound-port.ts";
import { hashPolicyOf, retryPolicy } from "../routing/virtual-service-action.ts";
import { destinationCluster, virtualServiceRoutes, type RouteInit } from "../routing/virtual-service-route.ts";

export interface ResolvedPort {
  readonly port: OutboundPort;
  readonly mesh: MeshSettings;
  readonly services: readonly ResolvedService[];
  readonly virtualServices: readonly VirtualServiceModel[];
  readonly serviceOf: (host: string) => ServiceModel | undefined;
  readonly aliasesOf: (host: string) => readonly string[];
}

export interface ResolvedService {
  readonly service: ServiceModel;
  readonly port: ServicePortModel;
}

export interface HostSources {
  readonly mesh: MeshSettings;
  readonly virtualServiceOf: (key: string) => VirtualServiceModel | undefined;
  readonly hashOf: (destination: Destination, port: number) => ConsistentHash | undefined;
  /**
   * Finds the session settings of a destination's service, as the namespace sees it. Absent if no service has sessions.
   */
  readonly sessionOf?: ((host: string, namespace: string) => ServiceSession | undefined) | undefined;
  /** The host's service, and the HTTPRoutes that are attached to it for the host's client. */
  readonly attachedRoutes: () => { readonly service: ServiceModel; readonly routes: readonly RouteModel[] } | undefined;
}

const badGateway = 502;

/** The routes of a virtual host. Empty if their source no longer exists. */
export function hostRoutes({ host, source }: HostPlan, sources: HostSources): readonly RouteInit[] {
  switch (source.from) {
    case "service":
      return [defaultRoute(host, source.port, sources)];
    case "http-routes": {
      const attached = sources.attachedRoutes();
      const { mesh } = sources;
      const hashOf = (name: string, port: number): HashKey | undefined => sources.hashOf({ host: name }, port)?.hashKey;
      return attached === undefined
        ? []
        : serviceRoutes(attached.service, source.port, attached.routes, { mesh, hashOf });
    }
    case "virtual-service": {
      const model = sources.virtualServiceOf(source.virtualService);
      return model === undefined ? [] : routesOf(model, source, sources);
    }
    case "unknown":
      return [unknownRoute(source.cluster)];
  }
}

function routesOf(
  model: VirtualServiceModel,
  { port, client, destinations }: Extract<HostPlan["source"], { readonly from: "virtual-service" }>,
  { mesh, hashOf, sessionOf }: HostSources,
): readonly RouteInit[] {
  return virtualServiceRoutes(model, {
    client: { namespace: client?.namespace ?? "", labels: client?.labels ?? {}, gateway: meshGateway },
    port,
    isTls: false,
    mesh,
    // A destination without a port means the request's port, even if its service has only one port and that has another
    // number.
    serviceOf: (host) => {
      const aliasOf = destinations === undefined ? "" : destinations.get(host);
      return aliasOf === undefined ? undefined : { ports: [{ name: "", port, protocol: "http", target: 0 }], aliasOf };
    },
    hashOf,
    sessionOf: sessionOf === undefined ? undefined : (host) => sessionOf(host, client?.namespace ?? model.namespace),
  });
}

function defaultRoute(host: string, port: number, { mesh, hashOf }: HostSources): RouteInit {
  const hash = hashOf({ host }, port);
  const retries = retryPolicy(mesh.defaultHttpRetryPolicy, false);
  return {
    name: "default",
    match: { pathSpecifier: { case: "prefix", value: "/" } },
    decorator: { operation: `${host}:${port}/*` },
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: subsetClusterName(port, undefined, host) },
        timeout: durationOfMs(0),
        maxGrpcTimeout: durationOfMs(0),
        ...(retries === undefined ? {} : { retryPolicy: retries }),
        hashPolicy: hash === undefined ? [] : [hashPolicyOf(hash.hashKey)],
      },
    },
  };
}

/** The name of the route for unknown hosts and of its virtual host. `cluster` is undefined if requests are rejected. */
export function unknownRouteName(cluster: string | undefined): string {
  if (cluster === undefined) return "block_all";
  return cluster === dynamicDnsName ? dynamicDnsRoute : "allow_any";
}

export function unknownRoute(cluster: string | undefined): RouteInit {
  const name = unknownRouteName(cluster);
  const match = { pathSpecifier: { case: "prefix" as const, value: "/" } };
  if (cluster === undefined) return { name, match, action: { case: "directResponse", value: { status: badGateway } } };
  const value = {
    clusterSpecifier: { case: "cluster" as const, value: cluster },
    timeout: durationOfMs(0),
    maxGrpcTimeout: durationOfMs(0),
  };
  return { name, match, action: { case: "route", value } };
}

export function unknownTrafficCluster(
  {
    unknownTraffic,
    egressProxy,
    port,
  }: Pick<OutboundPort, "unknownTraffic" | "egressProxy"> & { readonly port?: number },
  serviceOf: (host: string) => ServiceModel | undefined,
): string {
  if (egressProxy !== undefined) return destinationCluster(egressProxy, port ?? 0, serviceOf(egressProxy.host));
  return unknownTraffic === "REGISTRY_ONLY" ? blackHoleName : passthroughName;
}
