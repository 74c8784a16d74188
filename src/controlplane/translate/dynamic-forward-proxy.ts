import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ClientTls } from "../../api/istio/index.ts";
import {
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
  ClusterSchema,
  type DnsCacheConfigSchema,
  DynamicForwardProxyClusterSchema,
  DynamicForwardProxyFilterSchema,
  HttpProtocolOptionsSchema,
  SniDynamicForwardProxySchema,
} from "../../wire/envoy/index.ts";
import type { ServiceModel } from "../model/service/service.ts";
import { packed } from "./envoy-any.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import { type ClusterDraft, hasHttpOptions } from "./cluster-draft.ts";

/**
 * Whether the service is a wildcard host. Its clients name the actual host, in each request or as the TLS server name,
 * and the proxy resolves it.
 */
export function isForwarded({ resolution }: Pick<ServiceModel, "resolution">): boolean {
  return resolution === "dynamic-dns";
}

/**
 * The DNS cache of a cluster. Envoy requires that the cluster's filters configure an equal cache under the same name.
 */
export type DnsCache = Exclude<MessageInitShape<typeof DnsCacheConfigSchema>, { $typeName: string }>;

export function wildcardCache(hostname: string): DnsCache {
  return { name: `${hostname}_dfp_dns_cache`, dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY };
}

/**
 * Makes a cluster whose endpoints are the hosts of its requests. With TLS, the proxy sends the host of the request as
 * SNI, unless the DestinationRule sets `sni`. It checks that the server's certificate contains that host, unless the
 * rule sets `insecureSkipVerify`. Envoy needs the HTTP options on every such cluster, even without TLS.
 */
export function forwardDynamically(draft: ClusterDraft, cache: DnsCache, tls: ClientTls | undefined): void {
  const { cluster, http } = draft;
  const originates = tls !== undefined && tls.mode !== "DISABLE";
  const named = tls?.sni === undefined;
  const checked = tls?.insecureSkipVerify !== true;
  if (originates && (named || checked)) {
    http.upstreamHttpProtocolOptions = create(HttpProtocolOptionsSchema, {
      upstreamHttpProtocolOptions: { autoSni: named, autoSanValidation: checked },
    }).upstreamHttpProtocolOptions!;
  }
  const hasOptions = hasHttpOptions(draft) || Object.keys(cluster.typedExtensionProtocolOptions).length > 0;
  const isSecure = originates ? named && checked : !hasOptions;
  const insecure = isSecure ? {} : { allowInsecureClusterOptions: true };
  const typedConfig = packed(DynamicForwardProxyClusterSchema, {
    ...insecure,
    clusterImplementationSpecifier: { case: "dnsCacheConfig", value: cache },
  });
  cluster.clusterDiscoveryType = create(ClusterSchema, {
    clusterDiscoveryType: { case: "clusterType", value: { name: "envoy.clusters.dynamic_forward_proxy", typedConfig } },
  }).clusterDiscoveryType;
  cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
  cluster.lbConfig = { case: undefined };
  delete cluster.commonLbConfig;
}

/**
 * The filter that resolves the host of each request that is routed to the cache's cluster. It does not affect other
 * requests.
 */
export function forwardHttpFilter(cache: DnsCache): FilterInit {
  return filterInit("envoy.filters.http.dynamic_forward_proxy", DynamicForwardProxyFilterSchema, {
    implementationSpecifier: { case: "dnsCacheConfig", value: cache },
  });
}

/** The filter that resolves the server name of each connection. It must precede the TCP proxy. */
export function forwardTlsFilter(hostname: string, port: number): FilterInit {
  return filterInit("envoy.extensions.filters.network.sni_dynamic_forward_proxy", SniDynamicForwardProxySchema, {
    dnsCacheConfig: wildcardCache(hostname),
    portSpecifier: { case: "portValue", value: port },
  });
}
