import assert from "node:assert/strict";
import { test } from "node:test";
import { flagLetters } from "../terms/response-flags.ts";
import {
  brokenOffReply,
  codecErrorReply,
  connectFailureReply,
  endTable,
  noClusterReply,
  replyTable,
  upstreamFailureReplies,
  type ReplyRow,
} from "./reply-table.ts";

function describeReply({ status, flag, details }: ReplyRow): string {
  return `${status} ${flagLetters(flag)} ${details}`;
}

test("each cause has the status, the flag and the details that logs and dashboards for Envoy expect", () => {
  assert.deepEqual(Object.fromEntries(Object.entries(replyTable).map(([cause, row]) => [cause, describeReply(row)])), {
    badChunks: "400 DPE http1.codec_error{bad_chunked_framing}",
    oldVersion: "426 DPE low_version",
    badMethod: "400 - http1.invalid_method",
    badPath: "400 - path_normalization_failed",
    noHost: "400 - missing_host_header",
    badConnectionField: "400 - invalid_connection_header",
    underscore: "400 - unexpected_underscore",
    badBase64: "400 - grpc_base_64_decode_failed",
    tlsRequired: "301 - tls_required",
    noRoute: "404 NR route_not_found",
    corsAnswer: "200 - cors_response",
    upgradeRefused: "403 - upgrade_failed",
    filterFailed: "500 - filter_failed",
    tooMuchHeld: "503 OM held_bodies_exceed_limit",
    internalError: "500 - serin_internal_error",
    nameNotFound: "503 DF dns_resolution_failure",
    noHealthyUpstream: "503 UH no_healthy_upstream",
    overflow: "503 UO upstream_reset_before_response_started{overflow}",
    connectTimeout: "503 UF upstream_reset_before_response_started{connection_timeout}",
    responseTimeout: "504 UT response_timeout",
    tryTimeout: "504 UT upstream_per_try_timeout",
    durationTimeout: "408 DT max_duration_timeout",
    idleRequest: "408 SI stream_idle_timeout",
    idleResponse: "504 SI stream_idle_timeout",
  });
  assert.deepEqual(Object.values(upstreamFailureReplies).map(describeReply), [
    "503 UC upstream_reset_before_response_started{connection_termination}",
    "502 UPE upstream_reset_before_response_started{protocol_error}",
    "503 UR upstream_reset_before_response_started{remote_reset}",
    "503 UR upstream_reset_before_response_started{remote_refused_stream_reset}",
  ]);
  assert.deepEqual(
    Object.values(endTable).map(({ flag, details }) => `${flagLetters(flag)} ${details}`),
    ["- via_upstream", "DC downstream_remote_disconnect", "- filter_ended_stream"],
  );
});

test("a cause with its own facts reports them without spaces and commas", () => {
  const failure = { anyByte: true, nothingSent: false, message: "bad, chunked framing" };
  assert.deepEqual(
    [
      describeReply(connectFailureReply("connection refused, again")),
      describeReply(brokenOffReply({ kind: "protocol-error", ...failure })),
      describeReply(codecErrorReply(431, "head too large", false)),
      describeReply(codecErrorReply(400, "bad request", true)),
      describeReply(noClusterReply(404)),
    ],
    [
      "503 UF upstream_reset_before_response_started{remote_connection_failure_transport_failure_reason:_connection_refused_again}",
      "502 UPE upstream_reset_after_response_started{bad_chunked_framing}",
      "431 DPE http1.codec_error{head_too_large}",
      "400 DPE http2.codec_error{bad_request}",
      "404 NC cluster_not_found",
    ],
  );
  assert.equal(
    connectFailureReply("refused").body,
    "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, transport failure reason: refused",
  );
});

test("all replies have one shape, because the same code reads all of them", () => {
  const shapes = [...Object.values(replyTable), ...Object.values(upstreamFailureReplies), connectFailureReply("x")];
  assert.deepEqual(
    new Set(shapes.map((row) => Object.keys(row).join(" "))),
    new Set(["status body flag details grpcStatus"]),
  );
});
