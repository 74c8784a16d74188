import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import {
  ClusterSchema,
  HttpConnectionManagerSchema,
  HttpSetFilterStateSchema,
  ListenerSchema,
  NetworkSetFilterStateSchema,
  type Filter,
  type FilterChain,
} from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { memos } from "../model/memos.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** Types that only Istio's build of Envoy supports, and that contain further configuration. */
const ownNames = new Set([
  "istio.metadata_exchange",
  "istio.stats",
  "istio.alpn",
  "waypoint_downstream_peer_metadata",
  "waypoint_upstream_peer_metadata",
]);
/** A filter state of Istio's build, and the stock one that can also hold a text. */
const ownFactory = "istio.hashable_string";
const plainFactory = "envoy.string";

const stripped = memos.memo<EncodedResource, EncodedResource>("resources-for-stock-envoy");

/**
 * Adapts a resource for an Envoy without Istio's filters, which would otherwise reject it. It serves the same traffic,
 * without metadata exchange. Each resource is converted once.
 */
export function withoutIstioFilters(typeUrl: string, resource: EncodedResource): EncodedResource {
  if (typeUrl !== typeUrls.listener && typeUrl !== typeUrls.cluster) return resource;
  const known = stripped.get(resource);
  if (known !== undefined) return known;
  const { value } = fromBinary(AnySchema, resource.any);
  const made =
    typeUrl === typeUrls.cluster ? strippedCluster(resource.name, value) : strippedListener(resource.name, value);
  stripped.set(resource, made);
  return made;
}

function strippedCluster(name: string, value: Uint8Array): EncodedResource {
  const cluster = fromBinary(ClusterSchema, value);
  cluster.filters = cluster.filters.filter((filter) => !ownNames.has(filter.name));
  return encodeResource(ClusterSchema, name, cluster);
}

function strippedListener(name: string, value: Uint8Array): EncodedResource {
  const listener = fromBinary(ListenerSchema, value);
  for (const chain of [
    ...listener.filterChains,
    ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain]),
  ])
    stripChain(chain);
  return encodeResource(ListenerSchema, name, listener);
}

function stripChain(chain: FilterChain): void {
  chain.filters = chain.filters.filter((filter) => !ownNames.has(filter.name));
  for (const filter of chain.filters) stripFilter(filter);
}

function stripFilter(filter: Filter): void {
  if (filter.configType.case !== "typedConfig") return;
  const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema);
  if (manager !== undefined) {
    manager.httpFilters = manager.httpFilters.filter((inner) => !ownNames.has(inner.name));
    for (const inner of manager.httpFilters)
      if (inner.configType.case === "typedConfig")
        inner.configType.value = plainState(inner.configType.value, HttpSetFilterStateSchema, "onRequestHeaders");
    filter.configType.value = anyPack(HttpConnectionManagerSchema, manager);
    return;
  }
  filter.configType.value = plainState(filter.configType.value, NetworkSetFilterStateSchema, "onNewConnection");
}

function plainState(
  config: Any,
  schema: typeof HttpSetFilterStateSchema | typeof NetworkSetFilterStateSchema,
  field: "onRequestHeaders" | "onNewConnection",
): Any {
  const state = anyUnpack(config, schema);
  if (state === undefined) return config;
  const values = (Reflect.get(state, field) ?? []) as { factoryKey: string }[];
  for (const value of values) if (value.factoryKey === ownFactory) value.factoryKey = plainFactory;
  return create(AnySchema, { typeUrl: config.typeUrl, value: toBinary(schema, state) });
}
