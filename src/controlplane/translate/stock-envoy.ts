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

const istioFilters = new Set([
  "istio.metadata_exchange",
  "istio.stats",
  "istio.alpn",
  "waypoint_downstream_peer_metadata",
  "waypoint_upstream_peer_metadata",
]);
/** A kind of filter state that only Istio's build has, and the stock one that can hold the same text. */
const istioFactory = "istio.hashable_string";
const stockFactory = "envoy.string";

const converted = memos.memo<EncodedResource, EncodedResource>("resources-for-stock-envoy");

/**
 * Adapts a resource to an Envoy without Istio's filters, which would otherwise reject it. The Envoy serves the same
 * traffic, but exchanges no metadata. Each resource is converted once.
 */
export function withoutIstioFilters(typeUrl: string, resource: EncodedResource): EncodedResource {
  if (typeUrl !== typeUrls.listener && typeUrl !== typeUrls.cluster) return resource;
  const known = converted.get(resource);
  if (known !== undefined) return known;
  const { value } = fromBinary(AnySchema, resource.any);
  const made =
    typeUrl === typeUrls.cluster ? convertedCluster(resource.name, value) : convertedListener(resource.name, value);
  converted.set(resource, made);
  return made;
}

function convertedCluster(name: string, value: Uint8Array): EncodedResource {
  const cluster = fromBinary(ClusterSchema, value);
  cluster.filters = cluster.filters.filter((filter) => !istioFilters.has(filter.name));
  return encodeResource(ClusterSchema, name, cluster);
}

function convertedListener(name: string, value: Uint8Array): EncodedResource {
  const listener = fromBinary(ListenerSchema, value);
  for (const chain of [
    ...listener.filterChains,
    ...(listener.defaultFilterChain === undefined ? [] : [listener.defaultFilterChain]),
  ])
    convertChain(chain);
  return encodeResource(ListenerSchema, name, listener);
}

function convertChain(chain: FilterChain): void {
  chain.filters = chain.filters.filter((filter) => !istioFilters.has(filter.name));
  for (const filter of chain.filters) convertFilter(filter);
}

function convertFilter(filter: Filter): void {
  if (filter.configType.case !== "typedConfig") return;
  const manager = anyUnpack(filter.configType.value, HttpConnectionManagerSchema);
  if (manager !== undefined) {
    manager.httpFilters = manager.httpFilters.filter((inner) => !istioFilters.has(inner.name));
    for (const inner of manager.httpFilters)
      if (inner.configType.case === "typedConfig")
        inner.configType.value = withStockFactory(inner.configType.value, HttpSetFilterStateSchema, "onRequestHeaders");
    filter.configType.value = anyPack(HttpConnectionManagerSchema, manager);
    return;
  }
  filter.configType.value = withStockFactory(filter.configType.value, NetworkSetFilterStateSchema, "onNewConnection");
}

function withStockFactory(
  config: Any,
  schema: typeof HttpSetFilterStateSchema | typeof NetworkSetFilterStateSchema,
  field: "onRequestHeaders" | "onNewConnection",
): Any {
  const state = anyUnpack(config, schema);
  if (state === undefined) return config;
  const values = (Reflect.get(state, field) ?? []) as { factoryKey: string }[];
  for (const value of values) if (value.factoryKey === istioFactory) value.factoryKey = stockFactory;
  return create(AnySchema, { typeUrl: config.typeUrl, value: toBinary(schema, state) });
}
