import type { DescMessage, JsonObject } from "@bufbuild/protobuf";
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
import { decodeResource } from "./decode-resource.ts";
import { createModelFixture, type ModelFixture } from "./model-fixture.ts";

/** The resources of one group of proxies as JSON by name. */
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

/** A model, and proxies that are served from it. */
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
