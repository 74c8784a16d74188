import { create } from "@bufbuild/protobuf";
import type { ClientTls } from "../../api/istio/index.ts";
import {
  Cluster_DnsLookupFamily,
  Cluster_LbPolicy,
  ClusterSchema,
  DynamicForwardProxyClusterSchema,
  DynamicForwardProxyFilterSchema,
  HttpProtocolOptionsSchema,
  SniDynamicForwardProxySchema,
} from "../../wire/envoy/index.ts";
import type { ServiceModel } from "../model/service/service.ts";
import { packed } from "./envoy-any.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";
import { type ClusterDraft, hasHttpOptions } from "./traffic-policy.ts";

/**
 * Whether the service is a wildcard whose clients name the host, in each request or in the TLS server name, and the
 * proxy resolves it.
 */
export function isForwarded({ resolution }: Pick<ServiceModel, "resolution">): boolean {
  return resolution === "dynamic-dns";
}

/** The filters and the cluster must use the same cache name. */
function dnsCache(hostname: string) {
  return { name: `${hostname}_dfp_dns_cache`, dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY };
}

/**
 * Makes a cluster whose endpoints are the hosts of its requests. With TLS, the requested name is also verified, unless
 * a rule says otherwise. Envoy needs these HTTP options on every such cluster, even without TLS.
 */
export function forwardDynamically(draft: ClusterDraft, hostname: string, tls: ClientTls | undefined): void {
  const { cluster, http } = draft;
  const originates = tls?.mode === "SIMPLE" || tls?.mode === "MUTUAL";
  const named = tls?.sni === undefined;
  const checked = tls?.insecureSkipVerify !== true;
  if (originates && (named || checked)) {
    http.upstreamHttpProtocolOptions = create(HttpProtocolOptionsSchema, {
      upstreamHttpProtocolOptions: { autoSni: named, autoSanValidation: checked },
    }).upstreamHttpProtocolOptions!;
  }
  const isSecure = originates ? named && checked : !hasHttpOptions(draft);
  const insecure = isSecure ? {} : { allowInsecureClusterOptions: true };
  const typedConfig = packed(DynamicForwardProxyClusterSchema, {
    ...insecure,
    clusterImplementationSpecifier: { case: "dnsCacheConfig", value: dnsCache(hostname) },
  });
  cluster.clusterDiscoveryType = create(ClusterSchema, {
    clusterDiscoveryType: { case: "clusterType", value: { name: "envoy.clusters.dynamic_forward_proxy", typedConfig } },
  }).clusterDiscoveryType;
  cluster.lbPolicy = Cluster_LbPolicy.CLUSTER_PROVIDED;
  cluster.lbConfig = { case: undefined };
  delete cluster.commonLbConfig;
}

/** Resolves the host of each request that is routed to the wildcard's cluster. Leaves other requests alone. */
export function forwardHttpFilter(hostname: string): FilterInit {
  return filterInit("envoy.filters.http.dynamic_forward_proxy", DynamicForwardProxyFilterSchema, {
    implementationSpecifier: { case: "dnsCacheConfig", value: dnsCache(hostname) },
  });
}

/** Resolves the server name of each connection; stands before the TCP proxy. */
export function forwardTlsFilter(hostname: string, port: number): FilterInit {
  return filterInit("envoy.extensions.filters.network.sni_dynamic_forward_proxy", SniDynamicForwardProxySchema, {
    dnsCacheConfig: dnsCache(hostname),
    portSpecifier: { case: "portValue", value: port },
  });
}
