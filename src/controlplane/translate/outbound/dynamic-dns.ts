import { create } from "@bufbuild/protobuf";
import {
  CaresDnsResolverConfigSchema,
  Cluster_DnsLookupFamily,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  type Cluster,
} from "../../../wire/envoy/index.ts";
import { defaultDynamicDnsHosts } from "../../../api/pilot-settings/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { OutboundScope } from "../../model/outbound-scope.ts";
import { clusterMetadataExchange } from "../cluster.ts";
import { packHttpOptions, type ClusterDraft } from "../cluster-draft.ts";
import { forwardDynamically, type DnsCache } from "../dynamic-forward-proxy.ts";
import { packed } from "../envoy-any.ts";
import { tcpAddress } from "../envoy-address.ts";
import { applyTls } from "../outbound-tls.ts";
import { passthroughOptions } from "../passthrough-cluster.ts";
import { applyConnectionPool } from "../traffic-policy.ts";

/** The cluster for requests to unknown hosts if the Sidecar's or mesh's mode is ALLOW_ANY_DYNAMIC_DNS. */
export const dynamicDnsName = "AllowAnyDynamicDNSCluster";
/** The name of the route to this cluster, and of the virtual host with the route. */
export const dynamicDnsRoute = "allow_any_dynamic_dns";

type DynamicDnsScope = Pick<OutboundScope, "unknownTraffic" | "dnsCapture">;

/** Where the sidecar itself answers DNS queries. */
const [ownDnsAddress, ownDnsPort] = ["127.0.0.1", 15_053] as const;

export function forwardsUnknownHosts({ unknownTraffic }: Pick<OutboundScope, "unknownTraffic">): boolean {
  return unknownTraffic === "ALLOW_ANY_DYNAMIC_DNS";
}

export function unknownHostCaches(scope: DynamicDnsScope, mesh: MeshSettings): readonly DnsCache[] {
  return forwardsUnknownHosts(scope) ? [dynamicDnsCache(scope, mesh)] : [];
}

function dynamicDnsCache({ dnsCapture }: DynamicDnsScope, { dynamicDnsMaxHosts }: MeshSettings): DnsCache {
  const resolvers = [{ address: tcpAddress(ownDnsAddress, ownDnsPort) }];
  return {
    name: "allow_any_dfp_dns_cache",
    dnsLookupFamily: Cluster_DnsLookupFamily.V4_ONLY,
    maxHosts: dynamicDnsMaxHosts ?? defaultDynamicDnsHosts,
    ...(dnsCapture
      ? {
          typedDnsResolverConfig: {
            name: "envoy.network.dns_resolver.cares",
            typedConfig: packed(CaresDnsResolverConfigSchema, { resolvers }),
          },
        }
      : {}),
  };
}

/** A cluster whose endpoints are the unknown hosts that requests name. */
export function dynamicDnsCluster(scope: DynamicDnsScope, mesh: MeshSettings): Cluster {
  const draft: ClusterDraft = {
    http: create(HttpProtocolOptionsSchema, {}),
    cluster: create(ClusterSchema, {
      name: dynamicDnsName,
      altStatName: `${dynamicDnsName};`,
      filters: [clusterMetadataExchange(mesh)],
      typedExtensionProtocolOptions: passthroughOptions(mesh.proxyHeaders.preserveHttp1HeaderCase),
    }),
  };
  applyConnectionPool(draft, undefined, undefined, mesh);
  const tls = mesh.outboundTrafficTls;
  applyTls(draft, tls, {
    sni: "",
    identities: [],
    meshExternal: false,
    isEntry: false,
    mesh,
    automatic: false,
    hbone: false,
    mayReadSecrets: false,
  });
  forwardDynamically(draft, dynamicDnsCache(scope, mesh), tls);
  // As in upstream Istio, TLS needs HTTP options that replace those of the passthrough cluster, so requests are sent as
  // HTTP/1.1.
  packHttpOptions(draft);
  return draft.cluster;
}
