import {
  createRegistry,
  fromBinary,
  toJson,
  type DescMessage,
  type JsonObject,
  type JsonValue,
  type Registry,
} from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { deriveMeshModel } from "../translate/mesh-model.ts";
import { formatIssues, type KubernetesObject } from "../../api/index.ts";
import type { CompliancePolicy } from "../../base/compliance/index.ts";
import { parseMeshConfig } from "../../api/istio/index.ts";
import type { Collection } from "../../kube/index.ts";
import {
  ClusterLoadAssignmentSchema,
  ClusterSchema,
  envoyRegistry,
  ExpressionFilterSchema,
  ListenerSchema,
  RouteConfigurationSchema,
  ZipkinConfigSchema,
} from "../../wire/envoy/index.ts";
import * as telemetryTypes from "../../wire/envoy-telemetry/index.ts";
import { meshSettings } from "../mesh-settings.ts";
import { meshKey, type MeshSettings } from "../model/facts.ts";
import { defaultSessionRules } from "../../api/pilot-settings/index.ts";
import { CollectionView, NamedView, ScopedView, UnionView } from "../serve/resource-views/resource-view.ts";
import { ScopeClusterView } from "../serve/resource-views/scope-cluster-view.ts";
import { RouteTableView } from "../serve/resource-views/route-view.ts";
import { deriveClassicGatewayResources } from "../translate/gateway/gateway-classic-resources.ts";
import { deriveInboundResources } from "../translate/inbound/inbound-resources.ts";
import { deriveOutboundResources, fixedClusterNames } from "../translate/outbound/outbound-resources.ts";
import type { EncodedResource, ScopedEncodedResource } from "../translate/resource.ts";
import { deriveRouterResources } from "../translate/gateway/router-resources.ts";
import { deriveWaypointResources } from "../translate/waypoint/waypoint-resources.ts";
import { createModelFixture, testMesh } from "./model-fixture.ts";

/**
 * The proxy whose resources are shown: a client's sidecar of the namespace shop, the pod shop/web-1, a classic gateway
 * of edge, the Gateway edge/web, or the waypoint shop/wp.
 */
export type FeatureProxy = "sidecar" | "inbound" | "gateway" | "router" | "waypoint";

/** One part of a resource to show: the resource, such as `sidecar listener 0.0.0.0_80`, and the path in it. */
export interface Shown {
  readonly of: string;
  /** Keys, indexes, and `[part of a name]` for the element of a list. Absent means the whole resource. */
  readonly at?: string;
}

export interface Feature {
  readonly mesh?: object;
  readonly compliance?: CompliancePolicy;
  /** The value of PILOT_MX_ADDITIONAL_LABELS. */
  readonly exchangedLabels?: readonly string[];
  /** The value of PILOT_ENABLE_PERSISTENT_SESSION_FILTER. */
  readonly sessions?: boolean;
  /** The labels of the client's pod and of the gateway's pod. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly shows: readonly Shown[];
}

const place = {
  locality: { region: "", zone: "", subzone: "" },
  node: "node-1",
  network: "",
  networkView: [],
  hbone: false,
  dnsCapture: false,
};
const groups = {
  sidecar: { kind: "sidecar" as const, namespace: "shop", ...place },
  gateway: { kind: "router" as const, namespace: "edge", ...place },
};

function settingsOf({ mesh = {}, compliance, exchangedLabels = [], sessions = false }: Feature): MeshSettings {
  const parsed = parseMeshConfig(mesh);
  if (parsed.value === undefined) throw new Error(formatIssues(parsed.errors));
  const rules = { ...defaultSessionRules, enabled: sessions };
  return meshSettings(parsed.value, { ...testMesh, compliance, exchangedLabels, sessions: rules });
}

/** The resources of the feature's proxies, limited to the parts that it selects. */
export function showFeature(feature: Feature, objects: readonly KubernetesObject[]): JsonObject {
  const { labels = {}, shows } = feature;
  const fixture = createModelFixture();
  const { graph, inputs } = fixture;
  inputs.mesh.set(meshKey, settingsOf(feature));
  const model = deriveMeshModel(graph, inputs);
  const outbound = deriveOutboundResources(graph, model);
  const inbound = deriveInboundResources(graph, model);
  const classic = deriveClassicGatewayResources(graph, model);
  const router = deriveRouterResources(graph, { ...model, groups: model.scopes.groups });
  const waypoint = deriveWaypointResources(graph, model);
  fixture.apply(...objects);
  for (const [key, group] of Object.entries(groups)) model.scopes.groups.set(key, { ...group, labels });
  graph.settle();
  const scopeOf = (group: string): string => model.scopes.choices.get(group)?.scope ?? "";
  const clustersOf = (group: "sidecar" | "gateway") => {
    const fixed = new NamedView(
      new CollectionView([outbound.fixedClusters]),
      fixedClusterNames(groups[group].kind, false),
    );
    return new UnionView([
      fixed,
      new ScopedView(outbound.scopedClusters, scopeOf(group)),
      new ScopeClusterView(outbound.clusters, "clusters", scopeOf(group)),
    ]);
  };
  const scoped = (
    collections: readonly Collection<ScopedEncodedResource>[],
    scope: string,
  ): readonly EncodedResource[] =>
    collections
      .flatMap((collection) => [...collection.values()])
      .filter((item) => item.scope === scope)
      .map(({ resource }) => resource);
  const sources: Readonly<Record<string, () => Iterable<EncodedResource>>> = {
    "sidecar listener": () =>
      new UnionView(outbound.listeners.map((listeners) => new ScopedView(listeners, scopeOf("sidecar")))).all(),
    "sidecar route": () => new RouteTableView(outbound.routes, scopeOf("sidecar")).all(),
    "sidecar cluster": () => clustersOf("sidecar").all(),
    "sidecar endpoints": () => new ScopeClusterView(outbound.clusters, "endpoints", scopeOf("sidecar")).all(),
    "inbound listener": () => scoped([inbound.listeners], "shop/web-1"),
    "inbound cluster": () => scoped([inbound.clusters], "shop/web-1"),
    "gateway listener": () => scoped([classic.listeners], "gateway"),
    "gateway route": () => scoped([classic.routes], "gateway"),
    "gateway cluster": () => clustersOf("gateway").all(),
    "router listener": () => scoped([router.listeners], "edge/web"),
    "router route": () => scoped([router.routes], "edge/web"),
    "waypoint listener": () => scoped(waypoint.listeners, "shop/wp"),
    "waypoint cluster": () => scoped(waypoint.clusters, "shop/wp"),
  };
  return Object.fromEntries(
    shows.map(({ of, at }) => {
      const [proxy = "", type = "", name = ""] = of.split(" ");
      const found = [...(sources[`${proxy} ${type}`]?.() ?? [])];
      const resource = found.find((candidate) => candidate.name === name);
      if (resource === undefined)
        throw new Error(`there is no ${of}, but ${found.map((candidate) => candidate.name).join(", ")}`);
      return [at === undefined ? of : `${of} at ${at}`, valueOf(decoded(type, resource), at)];
    }),
  );
}

const schemas: Readonly<Record<string, DescMessage>> = {
  listener: ListenerSchema,
  route: RouteConfigurationSchema,
  cluster: ClusterSchema,
  endpoints: ClusterLoadAssignmentSchema,
};
let registry: Registry | undefined;

function decoded(type: string, resource: EncodedResource): JsonValue {
  const schema = schemas[type];
  if (schema === undefined) throw new Error(`there are no resources of type ${type}`);
  registry ??= createRegistry(
    envoyRegistry(),
    ExpressionFilterSchema,
    ZipkinConfigSchema,
    ...Object.values(telemetryTypes).filter((value) => "kind" in value),
  );
  return toJson(schema, fromBinary(schema, fromBinary(AnySchema, resource.any).value), { registry });
}

function valueOf(value: JsonValue, path: string | undefined): JsonValue {
  let found = value;
  for (const step of path?.split("/") ?? []) {
    const part = /^\[(.*)\]$/.exec(step)?.[1];
    const next =
      part === undefined
        ? (found as Record<string, JsonValue>)[step]
        : (found as JsonObject[]).find((item) => JSON.stringify(item["name"]).includes(part));
    if (next === undefined) return `nothing at ${step}`;
    found = next;
  }
  return found;
}
