import { fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, AnySchema, type Any } from "@bufbuild/protobuf/wkt";
import {
  Cluster_DnsLookupFamily,
  ClusterSchema,
  DynamicForwardProxyClusterSchema,
  DynamicForwardProxyFilterSchema,
  HttpConnectionManagerSchema,
  ListenerSchema,
  SniDynamicForwardProxySchema,
  type DnsCacheConfig,
} from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { isAddress } from "../model/ip-address.ts";
import { memos } from "../model/memos.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** The address families of a proxy. Names in its clusters are resolved only to addresses of these families. */
export type AddressFamilies = "IPv4" | "IPv6" | "both";

/**
 * The families of a proxy's addresses. Other texts are ignored. Without any address, the result is IPv4, as in
 * upstream.
 */
export function addressFamiliesOf(addresses: readonly string[]): AddressFamilies {
  const known = addresses.filter(isAddress);
  if (!known.some((address) => address.includes(":"))) return "IPv4";
  return known.some((address) => !address.includes(":")) ? "both" : "IPv6";
}

const lookups = { IPv6: Cluster_DnsLookupFamily.V6_ONLY, both: Cluster_DnsLookupFamily.ALL } as const;
type Lookup = (typeof lookups)[keyof typeof lookups];
/** The variants of each resource. Each is made once, and all proxies with the same families share it. */
const variants = {
  IPv6: memos.memo<EncodedResource, EncodedResource>("resources-for-ipv6"),
  both: memos.memo<EncodedResource, EncodedResource>("resources-for-both-families"),
};

/**
 * The resource, changed so that a proxy with these families resolves names to addresses that it can reach. The given
 * resource is made for IPv4, the only family of most meshes, whose proxies share its bytes unchanged.
 */
export function forAddressFamilies(
  families: "IPv6" | "both",
  typeUrl: string,
  resource: EncodedResource,
): EncodedResource {
  if (typeUrl !== typeUrls.cluster && typeUrl !== typeUrls.listener) return resource;
  const known = variants[families].get(resource);
  if (known !== undefined) return known;
  const lookup = lookups[families];
  const changed = typeUrl === typeUrls.cluster ? clusterFor(lookup, resource) : listenerFor(lookup, resource);
  variants[families].set(resource, changed);
  return changed;
}

function clusterFor(lookup: Lookup, resource: EncodedResource): EncodedResource {
  const cluster = fromBinary(ClusterSchema, fromBinary(AnySchema, resource.any).value);
  const { clusterDiscoveryType: type } = cluster;
  if (type.case === "clusterType" && type.value.typedConfig !== undefined) {
    const forward = anyUnpack(type.value.typedConfig, DynamicForwardProxyClusterSchema);
    if (forward?.clusterImplementationSpecifier.case !== "dnsCacheConfig") return resource;
    widen(forward.clusterImplementationSpecifier.value, lookup);
    type.value.typedConfig = anyPack(DynamicForwardProxyClusterSchema, forward);
  } else if (cluster.dnsLookupFamily === Cluster_DnsLookupFamily.V4_ONLY) cluster.dnsLookupFamily = lookup;
  else return resource;
  return encodeResource(ClusterSchema, resource.name, cluster);
}

/**
 * A copy of the listener whose filters have the same DNS settings as the clusters. Envoy rejects a filter whose DNS
 * cache differs from that of its cluster.
 */
function listenerFor(lookup: Lookup, resource: EncodedResource): EncodedResource {
  const { buffer, byteOffset, length } = resource.any;
  if (!Buffer.from(buffer, byteOffset, length).includes(forwarding)) return resource;
  const listener = fromBinary(ListenerSchema, fromBinary(AnySchema, resource.any).value);
  const { filterChains, defaultFilterChain } = listener;
  const chains = defaultFilterChain === undefined ? filterChains : [...filterChains, defaultFilterChain];
  for (const { configType } of chains.flatMap(({ filters }) => filters))
    if (configType.case === "typedConfig") configType.value = filterFor(lookup, configType.value);
  return encodeResource(ListenerSchema, resource.name, listener);
}

/** A part of the type names of both filters. */
const forwarding = "dynamic_forward_proxy";

function filterFor(lookup: Lookup, config: Any): Any {
  const byServerName = anyUnpack(config, SniDynamicForwardProxySchema);
  if (byServerName !== undefined) {
    widen(byServerName.dnsCacheConfig, lookup);
    return anyPack(SniDynamicForwardProxySchema, byServerName);
  }
  const byHost = anyUnpack(config, DynamicForwardProxyFilterSchema);
  if (byHost?.implementationSpecifier.case === "dnsCacheConfig") {
    widen(byHost.implementationSpecifier.value, lookup);
    return anyPack(DynamicForwardProxyFilterSchema, byHost);
  }
  const manager = anyUnpack(config, HttpConnectionManagerSchema);
  if (manager === undefined) return config;
  for (const { configType } of manager.httpFilters)
    if (configType.case === "typedConfig") configType.value = filterFor(lookup, configType.value);
  return anyPack(HttpConnectionManagerSchema, manager);
}

function widen(cache: DnsCacheConfig | undefined, lookup: Lookup): void {
  if (cache?.dnsLookupFamily === Cluster_DnsLookupFamily.V4_ONLY) cache.dnsLookupFamily = lookup;
}
