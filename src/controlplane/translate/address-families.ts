import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { Cluster_DnsLookupFamily, ClusterSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { isAddress } from "../model/ip-address.ts";
import { encodeResource, type EncodedResource } from "./resource.ts";

/** Which addresses a proxy has, and can therefore connect from: upstream resolves names of clusters to these alone. */
export type AddressFamilies = "IPv4" | "IPv6" | "both";

/** Of texts that are no addresses nothing is known: who tells none counts as IPv4, as upstream has it. */
export function addressFamiliesOf(addresses: readonly string[]): AddressFamilies {
  const known = addresses.filter(isAddress);
  if (!known.some((address) => address.includes(":"))) return "IPv4";
  return known.some((address) => !address.includes(":")) ? "both" : "IPv6";
}

const lookups = { IPv6: Cluster_DnsLookupFamily.V6_ONLY, both: Cluster_DnsLookupFamily.ALL } as const;
/** Each is made once, for all proxies of the same families. */
const made = {
  IPv6: new WeakMap<EncodedResource, EncodedResource>(),
  both: new WeakMap<EncodedResource, EncodedResource>(),
};

/**
 * A resource for proxies of these families: clusters that resolve names look for addresses that such a proxy can reach. They are made for
 * IPv4, which most meshes have alone, so that those share what is encoded.
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
