import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import {
  AlpnFilterConfigSchema,
  AlpnUpstreamProtocol,
  HeaderValueOption_HeaderAppendAction,
  HttpHeaderMutationSchema,
  IstioStatsConfigSchema,
  IstioStatsReporter,
  TypedStructSchema,
  type IstioMetricConfigSchema,
} from "../../wire/envoy/index.ts";
import type { MeshSettings } from "../model/facts.ts";
import { durationOfMs } from "./envoy-any.ts";
import { filterInit, type FilterInit } from "./filter-init.ts";

const metadataExchangeName = "istio.metadata_exchange";
const peerMetadataType = "type.googleapis.com/io.istio.http.peer_metadata.Config";
const tcpExchangeType = "type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange";

/**
 * The filter that exchanges peer metadata. It reads the peer's metadata from headers and from workload discovery, and
 * sends the proxy's own in headers.
 */
export function httpMetadataExchange(side: "downstream" | "upstream", mesh: MeshSettings): FilterInit {
  const inMeshOnly = side === "upstream" && mesh.proxyHeaders.metadataExchangeInMeshOnly;
  return peerMetadata(metadataExchangeName, {
    [`${side}_discovery`]: [{ istio_headers: {} }, { workload_discovery: {} }],
    [`${side}_propagation`]: [{ istio_headers: inMeshOnly ? { skip_external_clusters: true } : {} }],
    ...additionalLabels(mesh),
  });
}

/** The labels that this proxy exchanges. Two proxies exchange only labels that both are configured for. */
function additionalLabels({ exchangedLabels = [] }: MeshSettings): JsonObject {
  return exchangedLabels.length === 0 ? {} : { additional_labels: [...exchangedLabels] };
}

export function peerMetadata(name: string, config: JsonObject): FilterInit {
  return filterInit(name, TypedStructSchema, { typeUrl: peerMetadataType, value: config });
}

/**
 * The filter that exchanges peer metadata over TCP, on connections with the ALPN name `istio-peer-exchange`. Clusters
 * use the same filter.
 */
export function tcpMetadataExchange(mesh: MeshSettings): FilterInit {
  return filterInit(metadataExchangeName, TypedStructSchema, {
    typeUrl: tcpExchangeType,
    value: { enable_discovery: true, protocol: "istio-peer-exchange", ...additionalLabels(mesh) },
  });
}

/**
 * The filter that writes the identities of the tunnel's ends into `x-forwarded-client-cert`. It replaces a header that
 * the client sent, because nothing has verified that one.
 */
export function clientIdentityInXfcc(): FilterInit {
  const value = "By=%FILTER_STATE(io.istio.local_principal:PLAIN)%;URI=%FILTER_STATE(io.istio.peer_principal:PLAIN)%";
  return filterInit("istio.waypoint.xfcc_client_identity", HttpHeaderMutationSchema, {
    mutations: {
      requestMutations: [
        {
          action: {
            case: "append",
            value: {
              header: { key: "x-forwarded-client-cert", value },
              appendAction: HeaderValueOption_HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
            },
          },
        },
      ],
    },
  });
}

export type StatsRole = "client" | "server" | "waypoint";

export interface StatsChoice {
  readonly metrics: readonly MessageInitShape<typeof IstioMetricConfigSchema>[];
  readonly reportingIntervalMs?: number | undefined;
}

/** The filter for Istio's metrics. On the server's side, it does not take the service's name from the host header. */
export function istioStats(
  role: StatsRole,
  { metrics, reportingIntervalMs }: StatsChoice = { metrics: [] },
): FilterInit {
  const reporter = role === "waypoint" ? { reporter: IstioStatsReporter.SERVER_GATEWAY } : {};
  const interval = reportingIntervalMs === undefined ? {} : { tcpReportingDuration: durationOfMs(reportingIntervalMs) };
  return filterInit("istio.stats", IstioStatsConfigSchema, {
    ...(role === "client" ? {} : { disableHostHeaderFallback: true }),
    ...reporter,
    ...interval,
    metrics: [...metrics],
  });
}

/**
 * The filter that sets the ALPN name for mutual TLS by the request's HTTP version, so that the server can tell this TLS
 * from the application's own.
 */
export function istioAlpn(): FilterInit {
  return filterInit("istio.alpn", AlpnFilterConfigSchema, {
    alpnOverride: [
      { upstreamProtocol: AlpnUpstreamProtocol.HTTP10, alpnOverride: ["istio-http/1.0", "istio", "http/1.0"] },
      { upstreamProtocol: AlpnUpstreamProtocol.HTTP11, alpnOverride: ["istio-http/1.1", "istio", "http/1.1"] },
      { upstreamProtocol: AlpnUpstreamProtocol.HTTP2, alpnOverride: ["istio-h2", "istio", "h2"] },
    ],
  });
}
