import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Cluster_DnsLookupFamily, ClusterSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { isAddress } from "../model/ip-address.ts";
import { memos } from "../model/memos.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** The address families of a proxy. Upstream resolves the names of clusters only to addresses of these. */
export type AddressFamilies = "IPv4" | "IPv6" | "both";

/** Ignores texts that are not addresses. A proxy without an address counts as IPv4, as upstream. */
export function addressFamiliesOf(addresses: readonly string[]): AddressFamilies {
  const known = addresses.filter(isAddress);
  if (!known.some((address) => address.includes(":"))) return "IPv4";
  return known.some((address) => !address.includes(":")) ? "both" : "IPv6";
}

const lookups = { IPv6: Cluster_DnsLookupFamily.V6_ONLY, both: Cluster_DnsLookupFamily.ALL } as const;
/** Each variant is made once, for all proxies of the same families. */
const made = {
  IPv6: memos.memo<EncodedResource, EncodedResource>("clusters-for-ipv6"),
  both: memos.memo<EncodedResource, EncodedResource>("clusters-for-both-families"),
};

/**
 * A resource for proxies of these families: clusters that resolve names look for addresses that the proxy can reach.
 * Resources are made for IPv4, the only family of most meshes, so that those meshes share the encoded bytes.
 */
export function forAddressFamilies(
  families: "IPv6" | "both",
  typeUrl: string,
  resource: EncodedResource,
): EncodedResource {
  if (typeUrl !== typeUrls.cluster) return resource;
  const known = made[families].get(resource);
  if (known !== undefined) return known;
  const cluster = fromBinary(ClusterSchema, fromBinary(AnySchema, resource.any).value);
  const changed =
    cluster.dnsLookupFamily === Cluster_DnsLookupFamily.V4_ONLY
      ? encodeResource(ClusterSchema, resource.name, Object.assign(cluster, { dnsLookupFamily: lookups[families] }))
      : resource;
  made[families].set(resource, changed);
  return changed;
}
