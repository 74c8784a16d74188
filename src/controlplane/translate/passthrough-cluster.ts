import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
  HttpProtocolOptionsSchema,
  type Cluster,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { clusterMetadataExchange, httpOptionsName, passthroughName } from "./cluster.ts";
import { durationOfMs, packed } from "./envoy-any.ts";
import { http1Options } from "./header-case.ts";
import { applyConnectionPool } from "./traffic-policy.ts";

const passthroughIdleMs = 300_000;

export function passthroughCluster(mesh: MeshSettings): Cluster {
  return originalDestinations({ name: passthroughName, filters: [clusterMetadataExchange(mesh)] }, mesh);
}

/** A cluster for destinations without a service or a rule, so that only the mesh config applies. */
export function originalDestinations(
  init: Pick<
    Exclude<MessageInitShape<typeof ClusterSchema>, { $typeName: string }>,
    "name" | "filters" | "upstreamBindConfig"
  >,
  mesh: MeshSettings,
): Cluster {
  const cluster = create(ClusterSchema, {
    ...init,
    // Upstream uses this name in statistics of both directions.
    altStatName: `${passthroughName};`,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.ORIGINAL_DST },
    lbPolicy: Cluster_LbPolicy.CLUSTER_PROVIDED,
    typedExtensionProtocolOptions: passthroughOptions(mesh.proxyHeaders.preserveHttp1HeaderCase),
  });
  // As in upstream, the mesh's connection pool settings for HTTP do not change the HTTP options of a passthrough
  // cluster.
  const http = create(HttpProtocolOptionsSchema);
  applyConnectionPool({ cluster, http }, mesh.defaultTrafficPolicy.connectionPool, undefined, mesh);
  return cluster;
}

/** The HTTP options of a passthrough cluster. Each request keeps the HTTP version in which it arrived. */
export function passthroughOptions(preserveHttp1HeaderCase: boolean) {
  return {
    [httpOptionsName]: packed(HttpProtocolOptionsSchema, {
      commonHttpProtocolOptions: { idleTimeout: durationOfMs(passthroughIdleMs) },
      upstreamProtocolOptions: {
        case: "useDownstreamProtocolConfig",
        value: { httpProtocolOptions: http1Options(preserveHttp1HeaderCase), http2ProtocolOptions: {} },
      },
    }),
  };
}
