import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { HttpProtocolOptionsSchema, type Cluster, type HttpProtocolOptions } from "../../wire/envoy/index.ts";
import type { AppProtocol, MeshSettings } from "../model/facts.ts";
import { httpOptionsName } from "./cluster.ts";
import { packed } from "./envoy-any.ts";
import { http1Options } from "./header-case.ts";

/** A cluster under construction. Its HTTP options are packed into it last. */
export interface ClusterDraft {
  readonly cluster: Cluster;
  readonly http: HttpProtocolOptions;
}

export function isHttp2({ http }: ClusterDraft): boolean {
  const { upstreamProtocolOptions: options } = http;
  return options.case === "explicitHttpConfig" && options.value.protocolConfig.case === "http2ProtocolOptions";
}

export interface ProtocolChoice {
  readonly protocol: AppProtocol;
  /** Whether requests to a port without a declared protocol keep the HTTP version of the client. */
  readonly followsClient: boolean;
  readonly mesh: Pick<MeshSettings, "proxyHeaders">;
}

/**
 * Sets the HTTP version of requests to the port. As in upstream, connections that keep the case of headers are not
 * upgraded to HTTP/2.
 */
export function useProtocolOf(draft: ClusterDraft, { protocol, followsClient, mesh }: ProtocolChoice): void {
  if (protocol === "http2" || protocol === "grpc") return useHttp2(draft);
  if (mayKeepHeaderCase(protocol) && mesh.proxyHeaders.preserveHttp1HeaderCase) useHttp1(draft, http1Options(true));
  if (protocol === "unknown" && followsClient) useDownstreamProtocol(draft);
}

/** Whether the setting to keep the case of headers changes the clusters of this port. It does if they speak HTTP/1. */
export function mayKeepHeaderCase(protocol: AppProtocol): boolean {
  return protocol === "http" || protocol === "unknown";
}

export function useHttp2({ http }: ClusterDraft): void {
  if (http.upstreamProtocolOptions.case !== undefined) return;
  http.upstreamProtocolOptions = protocolOptions({
    case: "explicitHttpConfig",
    value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } },
  });
}

function useHttp1({ http }: ClusterDraft, options: ReturnType<typeof http1Options>): void {
  http.upstreamProtocolOptions = protocolOptions({
    case: "explicitHttpConfig",
    value: { protocolConfig: { case: "httpProtocolOptions", value: options } },
  });
}

/** Lets requests keep the client's HTTP version. Options for HTTP/1 that were set before stay. */
export function useDownstreamProtocol({ http }: ClusterDraft): void {
  const { upstreamProtocolOptions: before } = http;
  const explicit = before.case === "explicitHttpConfig" ? before.value.protocolConfig : undefined;
  http.upstreamProtocolOptions = protocolOptions({
    case: "useDownstreamProtocolConfig",
    value: {
      httpProtocolOptions: explicit?.case === "httpProtocolOptions" ? explicit.value : {},
      http2ProtocolOptions: {},
    },
  });
}

export function hasHttpOptions({ http }: ClusterDraft): boolean {
  return (
    http.upstreamProtocolOptions.case !== undefined ||
    http.commonHttpProtocolOptions !== undefined ||
    http.upstreamHttpProtocolOptions !== undefined
  );
}

export function packHttpOptions(draft: ClusterDraft): void {
  const { cluster, http } = draft;
  if (!hasHttpOptions(draft)) return;
  // Envoy rejects options without an HTTP version.
  if (http.upstreamProtocolOptions.case === undefined) useHttp1(draft, {});
  cluster.typedExtensionProtocolOptions[httpOptionsName] = packed(HttpProtocolOptionsSchema, http);
}

function protocolOptions(
  upstreamProtocolOptions: NonNullable<MessageInitShape<typeof HttpProtocolOptionsSchema>["upstreamProtocolOptions"]>,
): HttpProtocolOptions["upstreamProtocolOptions"] {
  return create(HttpProtocolOptionsSchema, { upstreamProtocolOptions }).upstreamProtocolOptions;
}
