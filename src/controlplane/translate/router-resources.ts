import type { Collection, CollectionGraph } from "../../kube/index.ts";
import { ClusterLoadAssignmentSchema, ClusterSchema, ListenerSchema, RouteConfigurationSchema } from "../../wire/envoy/index.ts";
import { clusterName } from "../model/backend-resolution.ts";
import { factsKey, hostnameOf, meshKey } from "../model/facts.ts";
import { isIngressClass } from "../model/gateway-class.ts";
import type { RouteModel } from "../model/gateway-model.ts";
import { judgeListeners } from "../model/listener-validation.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { selectorKeys } from "../model/selection.ts";
import { tcpPortsOf } from "../model/service-ports.ts";
import { matchesLabels } from "../../api/index.ts";
import { blackHoleCluster, blackHoleName, connectOriginateCluster, connectOriginateName, serviceCluster } from "./cluster.ts";
import { loadAssignment } from "./endpoints.ts";
import { connectOriginateListener, httpListener, listenerName, routeName } from "./gateway-listener.ts";
import { routeTable } from "./gateway-route.ts";
import { encodeResource, sameResource, type EncodedResource } from "./resource.ts";

/** A resource of one scope; the collection's key is {@link scopedResourceKey}. */
export interface ScopedEncodedResource {
  readonly scope: string;
  readonly resource: EncodedResource;
}

/** What gateway proxies are served. */
export interface RouterResources {
  readonly clusters: readonly Collection<EncodedResource>[];
  /** For proxies that speak HBONE, and for those that do not. */
  readonly endpoints: { readonly hbone: Collection<EncodedResource>; readonly plain: Collection<EncodedResource> };
  /** Scoped by `namespace/name` of the Gateway. */
  readonly listeners: Collection<ScopedEncodedResource>;
  readonly routes: Collection<ScopedEncodedResource>;
}

export function scopedResourceKey(scope: string, name: string): string {
  return `${scope}|${name}`;
}

export function deriveRouterResources(graph: CollectionGraph, inputs: MeshInputs, routes: Collection<RouteModel>): RouterResources {
  return {
    clusters: [deriveFixedClusters(graph, inputs), deriveServiceClusters(graph, inputs)],
    endpoints: { hbone: deriveEndpoints(graph, inputs, true), plain: deriveEndpoints(graph, inputs, false) },
    listeners: deriveListeners(graph, inputs),
    routes: deriveRouteTables(graph, inputs, routes),
  };
}

function deriveFixedClusters(graph: CollectionGraph, inputs: MeshInputs): Collection<EncodedResource> {
  return graph.derive(
    "cds-fixed",
    inputs.mesh,
    (mesh) => [
      [connectOriginateName, encodeResource(ClusterSchema, connectOriginateName, connectOriginateCluster(mesh))],
      [blackHoleName, encodeResource(ClusterSchema, blackHoleName, blackHoleCluster())],
    ],
    sameResource,
  );
}

function deriveServiceClusters(graph: CollectionGraph, inputs: MeshInputs): Collection<EncodedResource> {
  const pods = inputs.pods.index("label", (pod) => Object.entries(pod.labels).map(([key, value]) => `${pod.namespace}/${key}=${value}`));
  return graph.derive(
    "cds-services",
    inputs.services,
    (service, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const [candidates = ""] = selectorKeys(service.namespace, service.selector);
      const selected = candidates === "" ? [] : reader.lookup(pods, candidates).filter((pod) => matchesLabels(service.selector, pod.labels));
      const identities = [...new Set(selected.map((pod) => `spiffe://${mesh.trustDomain}/ns/${pod.namespace}/sa/${pod.serviceAccount}`))].sort();
      return tcpPortsOf(service).map((port) => {
        const cluster = serviceCluster(service, port, mesh, identities);
        return [cluster.name, encodeResource(ClusterSchema, cluster.name, cluster)] as const;
      });
    },
    sameResource,
  );
}

function deriveEndpoints(graph: CollectionGraph, inputs: MeshInputs, hbone: boolean): Collection<EncodedResource> {
  const slices = inputs.slices.index("service", (slice) => [slice.service]);
  return graph.derive(
    hbone ? "eds-hbone" : "eds-plain",
    inputs.services,
    (service, reader, key) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined) return [];
      const context = {
        mesh,
        hbone,
        slices: reader.lookup(slices, key),
        podOf: (pod: string) => reader.get(inputs.pods, pod),
        nodeOf: (node: string) => reader.get(inputs.nodes, node),
      };
      return tcpPortsOf(service).map((port) => {
        const name = clusterName(port.port, hostnameOf(service, mesh.domain));
        return [name, encodeResource(ClusterLoadAssignmentSchema, name, loadAssignment(name, service, port, context))] as const;
      });
    },
    sameResource,
  );
}

function deriveListeners(graph: CollectionGraph, inputs: MeshInputs): Collection<ScopedEncodedResource> {
  return graph.derive(
    "lds-gateways",
    inputs.gateways,
    (gateway, reader) => {
      const mesh = reader.get(inputs.mesh, meshKey);
      if (mesh === undefined || !isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const scope = factsKey(gateway);
      const listeners = servedPorts(gateway).map((port) => encodeResource(ListenerSchema, listenerName(port), httpListener(port, mesh)));
      listeners.push(encodeResource(ListenerSchema, connectOriginateName, connectOriginateListener()));
      return listeners.map((resource) => [scopedResourceKey(scope, resource.name), { scope, resource }] as const);
    },
    sameScopedResource,
  );
}

function deriveRouteTables(graph: CollectionGraph, inputs: MeshInputs, routes: Collection<RouteModel>): Collection<ScopedEncodedResource> {
  const byGateway = routes.index("gateway", (model) => new Set(model.parents.filter((parent) => parent.refused === undefined).map((parent) => parent.gateway)));
  return graph.derive(
    "rds-gateways",
    inputs.gateways,
    (gateway, reader) => {
      if (!isIngressClass(gateway.spec.gatewayClassName, inputs, reader)) return [];
      const scope = factsKey(gateway);
      const attached = reader.lookup(byGateway, scope);
      return servedPorts(gateway).map((port) => {
        const resource = encodeResource(RouteConfigurationSchema, routeName(port), routeTable(gateway, port, attached));
        return [scopedResourceKey(scope, resource.name), { scope, resource }] as const;
      });
    },
    sameScopedResource,
  );
}

function servedPorts(gateway: Parameters<typeof judgeListeners>[0]): readonly number[] {
  const ports = judgeListeners(gateway)
    .filter((verdict) => verdict.serves)
    .map((verdict) => verdict.listener.port);
  return [...new Set(ports)].sort((left, right) => left - right);
}

function sameScopedResource(left: ScopedEncodedResource, right: ScopedEncodedResource): boolean {
  return left.scope === right.scope && sameResource(left.resource, right.resource);
}
