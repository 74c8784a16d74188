import type { DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { KubernetesObject } from "../../api/index.ts";
import { deriveMeshModel } from "../translate/mesh-model.ts";
import { NameTableSchema } from "../../wire/discovery/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
} from "../../wire/envoy/index.ts";
import type { ProxyGroup } from "../model/scope-choice.ts";
import { RouteTableView } from "../serve/resource-views/route-view.ts";
import {
  CollectionView,
  NamedView,
  ScopedView,
  UnionView,
  type ResourceView,
} from "../serve/resource-views/resource-view.ts";
import { ScopeClusterView } from "../serve/resource-views/scope-cluster-view.ts";
import { deriveOutboundResources, fixedClusterNames } from "../translate/outbound/outbound-resources.ts";
import { decodeResource, valueAt } from "./decode-resource.ts";
import { createModelFixture, namespace, node, pod, service, slice, type ModelFixture } from "./model-fixture.ts";

/** The resources of one group of proxies, as JSON by name. */
export interface ServedOutbound {
  clusters(): Readonly<Record<string, JsonObject>>;
  endpoints(): Readonly<Record<string, JsonObject>>;
  listeners(): Readonly<Record<string, JsonObject>>;
  routes(): Readonly<Record<string, JsonObject>>;
  names(): JsonObject | undefined;
}

export interface OutboundFixture extends ModelFixture {
  /** Connects proxies of a group. Missing fields are those of a sidecar in the namespace `shop` without labels. */
  readonly serve: (group?: Partial<ProxyGroup>) => ServedOutbound;
}

const plainGroup: ProxyGroup = {
  kind: "sidecar",
  namespace: "shop",
  labels: {},
  locality: { region: "r1", zone: "z1", subzone: "" },
  node: "node-1",
  network: "",
  hbone: false,
  dnsCapture: false,
};

export function createOutboundFixture(): OutboundFixture {
  const fixture = createModelFixture();
  const model = deriveMeshModel(fixture.graph, fixture.inputs);
  const outbound = deriveOutboundResources(fixture.graph, model);
  const read = (schema: DescMessage, view: ResourceView): Readonly<Record<string, JsonObject>> =>
    Object.fromEntries(
      [...view.all()]
        .map((resource) => [resource.name, decodeResource(schema, resource)] as const)
        .sort(([left], [right]) => (left < right ? -1 : 1)),
    );
  return {
    ...fixture,
    serve: (given = {}) => {
      const group = { ...plainGroup, ...given };
      const key = JSON.stringify(group);
      model.scopes.groups.set(key, group);
      fixture.graph.settle();
      const scope = (): string => model.scopes.choices.get(key)?.scope ?? "";
      const fixed = new NamedView(
        new CollectionView([outbound.fixedClusters]),
        fixedClusterNames(group.kind, group.hbone),
      );
      return {
        clusters: () =>
          read(
            ClusterSchema,
            new UnionView([
              fixed,
              new ScopedView(outbound.scopedClusters, scope()),
              new ScopeClusterView(outbound.clusters, "clusters", scope()),
            ]),
          ),
        endpoints: () =>
          read(ClusterLoadAssignmentSchema, new ScopeClusterView(outbound.clusters, "endpoints", scope())),
        listeners: () =>
          read(
            ListenerSchema,
            new UnionView(outbound.listeners.map((listeners) => new ScopedView(listeners, scope()))),
          ),
        routes: () => read(RouteConfigurationSchema, new RouteTableView(outbound.routes, scope())),
        names: () => read(NameTableSchema, new ScopedView(outbound.nameTables, scope()))[""],
      };
    },
  };
}

export const http = { name: "http", port: 80, targetPort: 8080 };
export const sidecarLabel = { "security.istio.io/tlsMode": "istio" };

/** Two namespaces with a Service each, of which one has two pods with sidecars. */
export const smallMesh: readonly KubernetesObject[] = [
  namespace("shop"),
  namespace("other"),
  node("node-1", "z1"),
  node("node-2", "z2"),
  service("shop/web", "10.96.0.5", { app: "web" }, [http]),
  service("other/api", "10.96.0.7", { app: "api" }, [http]),
  pod("shop/web-1", "10.244.1.5", {
    labels: { app: "web", version: "v1", ...sidecarLabel },
    account: "web",
    redirected: false,
  }),
  pod("shop/web-2", "10.244.2.6", {
    labels: { app: "web", version: "v2", ...sidecarLabel },
    account: "web",
    node: "node-2",
    redirected: false,
  }),
  slice("shop/web", { name: "http", port: 8080 }, [
    { address: "10.244.1.5", pod: "web-1" },
    { address: "10.244.2.6", pod: "web-2", node: "node-2" },
  ]),
];

export function hostsOf(routes: JsonObject | undefined): readonly (readonly [string, readonly string[]])[] {
  const hosts = (routes?.["virtualHosts"] ?? []) as readonly JsonObject[];
  return hosts.map((host) => [host["name"] as string, host["domains"] as string[]]);
}

/** The zone, the priority and the addresses of each locality of an assignment. */
export function addressesOf(
  assignment: JsonObject | undefined,
): readonly (readonly [JsonValue | undefined, number, readonly JsonValue[]])[] {
  const localities = (assignment?.["endpoints"] ?? []) as readonly JsonObject[];
  return localities.map((locality) => {
    const endpoints = (locality["lbEndpoints"] ?? []) as readonly JsonObject[];
    return [
      valueAt(locality, "locality", "zone"),
      Number(locality["priority"] ?? 0),
      endpoints.flatMap((endpoint) => valueAt(endpoint, "endpoint", "address", "socketAddress", "address") ?? []),
    ];
  });
}
