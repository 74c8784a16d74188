import { statusText } from "../../wire/http1/index.ts";
import type { LocalReply } from "../filters/http-filter.ts";
import { responseFlags, type ResponseFlag } from "../terms/response-flags.ts";
import type { UpstreamFailure } from "../upstream/upstream-channel.ts";

/** How an exchange ended, for logs and metrics. */
export interface EndRow {
  readonly flag: ResponseFlag;
  /** Envoy's `response_code_details`. */
  readonly details: string;
}

/** A reply of the proxy itself: what the client gets, and the values for logs and metrics. */
export interface ReplyRow extends EndRow {
  readonly status: number;
  readonly body: string | Buffer;
  /** The status for a gRPC client. If undefined, it follows from the HTTP status. */
  readonly grpcStatus: number | undefined;
}

function row(status: number, body: string | Buffer, flag: ResponseFlag, details: string): ReplyRow {
  return { status, body, flag, details, grpcStatus: undefined };
}

const failedBeforeResponse = "upstream connect error or disconnect/reset before headers. ";

const { none, downstreamProtocolError } = responseFlags;

/** The proxy's own reply for each cause. Replies that depend on further facts follow below. */
export const replyTable = {
  // Faults of the client's request.
  badChunks: row(400, "Bad Request", downstreamProtocolError, "http1.codec_error{bad_chunked_framing}"),
  oldVersion: row(426, "Upgrade Required", downstreamProtocolError, "low_version"),
  badMethod: row(400, "", none, "http1.invalid_method"),
  badPath: row(400, "", none, "path_normalization_failed"),
  noHost: row(400, "", none, "missing_host_header"),
  badConnectionField: row(400, "", none, "invalid_connection_header"),
  underscore: row(400, "", none, "unexpected_underscore"),
  badBase64: row(400, "Bad gRPC-web request, invalid base64 data.", none, "grpc_base_64_decode_failed"),
  // Replies by routes and policies.
  tlsRequired: row(301, "", none, "tls_required"),
  noRoute: row(404, "", responseFlags.noRouteFound, "route_not_found"),
  corsAnswer: row(200, "", none, "cors_response"),
  upgradeRefused: row(403, "", none, "upgrade_failed"),
  filterFailed: row(500, "", none, "filter_failed"),
  internalError: row(500, "", none, "serin_internal_error"),
  /** The proxy holds too many bytes for filters, and most of them for this client. */
  tooMuchHeld: row(503, "", responseFlags.overloadManager, "held_bodies_exceed_limit"),
  nameNotFound: row(503, "DNS resolution failure", responseFlags.dnsResolutionFailed, "dns_resolution_failure"),
  noHealthyUpstream: row(503, "no healthy upstream", responseFlags.noHealthyUpstream, "no_healthy_upstream"),
  overflow: beforeResponse(503, responseFlags.upstreamOverflow, "overflow"),
  connectTimeout: beforeResponse(503, responseFlags.upstreamConnectionFailure, "connection timeout"),
  responseTimeout: row(504, "upstream request timeout", responseFlags.upstreamRequestTimeout, "response_timeout"),
  tryTimeout: row(504, "upstream request timeout", responseFlags.upstreamRequestTimeout, "upstream_per_try_timeout"),
  durationTimeout: row(408, "downstream duration timeout", responseFlags.durationTimeout, "max_duration_timeout"),
  /** No byte moved for too long, and the client has not sent the whole request. */
  idleRequest: row(408, "stream timeout", responseFlags.streamIdleTimeout, "stream_idle_timeout"),
  /** No byte moved for too long, although the upstream has the whole request. */
  idleResponse: row(504, "stream timeout", responseFlags.streamIdleTimeout, "stream_idle_timeout"),
} as const satisfies Readonly<Record<string, ReplyRow>>;

/** The replies for failures of the upstream before its response has begun. */
export const upstreamFailureReplies: Readonly<Record<UpstreamFailure["kind"], ReplyRow>> = {
  closed: beforeResponse(503, responseFlags.upstreamConnectionTermination, "connection termination"),
  "protocol-error": beforeResponse(502, responseFlags.upstreamProtocolError, "protocol error"),
  reset: beforeResponse(503, responseFlags.upstreamRemoteReset, "remote reset"),
  refused: beforeResponse(503, responseFlags.upstreamRemoteReset, "remote refused stream reset"),
};

/**
 * The reply if the upstream fails after its response has begun. It can be sent only while filters still hold the head
 * of that response.
 */
export function brokenOffReply({ kind, message }: UpstreamFailure): ReplyRow {
  const { status, flag } = upstreamFailureReplies[kind];
  return row(status, "", flag, resetDetails("after", message));
}

/** The reply if no connection could be opened. `message` says why. */
export function connectFailureReply(message: string): ReplyRow {
  const reason = `remote connection failure, transport failure reason: ${message}`;
  return beforeResponse(503, responseFlags.upstreamConnectionFailure, reason);
}

export function codecErrorReply(status: number, reason: string, isHttp2: boolean): ReplyRow {
  const codec = isHttp2 ? "http2" : "http1";
  const details = `${codec}.codec_error{${reason.replaceAll(" ", "_")}}`;
  return row(status, statusText(status), downstreamProtocolError, details);
}

export function noClusterReply(status: number): ReplyRow {
  return row(status, "", responseFlags.noClusterFound, "cluster_not_found");
}

export function directReply(status: number, body: string | Buffer): ReplyRow {
  return row(status, body, none, "direct_response");
}

export function filterReply({ status, body, flag, details, grpcStatus }: LocalReply): ReplyRow {
  return { status, body, flag, details, grpcStatus };
}

/** How exchanges end without a reply of the proxy. */
export const endTable = {
  answered: { flag: none, details: "via_upstream" },
  clientLeft: { flag: responseFlags.downstreamConnectionTermination, details: "downstream_remote_disconnect" },
  /** A filter ended the exchange, and named no reason. */
  filterEnded: { flag: none, details: "filter_ended_stream" },
} as const satisfies Readonly<Record<string, EndRow>>;

/** The reply if the last retry fails. As in Envoy, its body says that it was not the first attempt. */
export function afterRetries(reply: ReplyRow): ReplyRow {
  const body = reply.body.toString().replace(failedBeforeResponse, `${failedBeforeResponse}retried and the latest `);
  return { ...reply, body };
}

function beforeResponse(status: number, flag: ResponseFlag, reason: string): ReplyRow {
  const body = `${failedBeforeResponse}reset reason: ${reason}`;
  return row(status, body, flag, resetDetails("before", reason));
}

function resetDetails(when: "before" | "after", reason: string): string {
  return `upstream_reset_${when}_response_started{${reason.replaceAll(/[\s,]+/g, "_")}}`;
}
