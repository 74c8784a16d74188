import type { ForwardAction, GrpcTimeout } from "../routing/route.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { WireProtocol } from "../upstream/pool-user.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import { parseGrpcTimeout } from "./grpc.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import type { RequestBodyForm } from "./outgoing-request.ts";

/**
 * The protocol in which a cluster gets this request. Undefined for an upgrade or a CONNECT that the cluster would have
 * to get over HTTP/2, which this proxy does not support.
 */
export function wireProtocol(cluster: Cluster, facts: ExchangeRequest, upgrades: boolean): WireProtocol | undefined {
  switch (cluster.config.upstreamProtocol ?? "http1") {
    case "http1":
      return "http1";
    case "http2":
      return upgrades || facts.isConnect ? undefined : "http2";
    case "downstream":
      return facts.isHttp2 && !upgrades && !facts.isConnect ? "http2" : "http1";
    case "alpn":
      return upgrades || facts.isConnect ? "http1" : "alpn";
  }
}

/**
 * The form in which the request's body is relayed to the upstream and its mirrors. `otherMirrors` says whether some
 * mirrors do not use HTTP/1.1.
 */
export function bodyForm(facts: ExchangeRequest, protocol: WireProtocol, otherMirrors: boolean): RequestBodyForm {
  if (!facts.head.chunked) return "as-is";
  if (facts.isHttp2) return "plain";
  return protocol === "http1" && !otherMirrors ? "as-is" : "take-out-of-chunks";
}

/** How long the upstream may take, from the end of the request, in milliseconds. 0 means no limit. */
export function responseTimeoutMs(action: ForwardAction, facts: ExchangeRequest): number {
  if (action.stream !== undefined) return 0;
  if (action.grpcTimeout === undefined || !facts.isGrpc) return action.timeoutMs;
  return grpcLimitMs(action.grpcTimeout, facts);
}

/** How long the whole exchange may take, from the beginning of the request, in milliseconds. 0 means no limit. */
export function exchangeLimitMs(
  action: ForwardAction | undefined,
  config: HttpConnectionConfig,
  facts: ExchangeRequest,
): number {
  if (action?.stream === undefined) return config.maxStreamDurationMs;
  const { maxMs, grpcTimeout } = action.stream;
  if (grpcTimeout === undefined || !facts.isGrpc || facts.head.find("grpc-timeout") < 0) return maxMs;
  return grpcLimitMs(grpcTimeout, facts);
}

function grpcLimitMs(limit: GrpcTimeout, facts: ExchangeRequest): number {
  const requestedMs = parseGrpcTimeout(facts.head.get("grpc-timeout")) ?? 0;
  const own = requestedMs > limit.offsetMs ? requestedMs - limit.offsetMs : requestedMs;
  return limit.maxMs > 0 && (own === 0 || own > limit.maxMs) ? limit.maxMs : own;
}

export function sendsPeerMetadata(
  { writeToUpstream, inMeshOnly }: HttpConnectionConfig["peerMetadata"],
  cluster: Cluster,
): boolean {
  const { peerMetadata } = cluster.config;
  return writeToUpstream && (peerMetadata === "tell" || (peerMetadata === "external" && !inMeshOnly));
}
