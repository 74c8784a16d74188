import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson } from "@bufbuild/protobuf";
import { eachFlag, flagLetters, flagNames, joinFlags, responseFlags } from "../terms/response-flags.ts";
import { compileLocalReplies } from "../config/listeners/local-reply-config.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { LocalReplyConfigSchema } from "../../wire/envoy/index.ts";
import type { ClusterConfig } from "../upstream/cluster.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/**
 * How a request ends if its backend always answers with this status. Undefined makes the backend break the connection
 * off.
 */
async function ended(
  status: number | undefined,
  options: {
    readonly cluster?: Partial<ClusterConfig>;
    readonly config?: Partial<HttpConnectionConfig>;
    readonly size?: number;
  } = {},
) {
  const { cluster, config, size = 0 } = options;
  await using harness = await Harness.start(config);
  const { port } = await harness.backend((request, response) => {
    request.resume();
    if (status === undefined) request.socket.destroy();
    else request.on("end", () => response.writeHead(status).end());
  });
  const { breaker } = harness.cluster("a", [port], cluster);
  harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ retries: 1, on: { serverError: true } }) })));
  const answer = await harness.get("/", { method: "POST", body: Buffer.alloc(size) });
  const [record] = harness.records;
  return `${answer.status} ${record?.flag} ${record?.details} ${breaker.retries.overflows}`;
}

test("a request whose retries are used up says so besides the cause, as Envoy's URX", async () => {
  assert.equal(await ended(503), "503 URX via_upstream 0");
  assert.equal(await ended(undefined), "503 URX,UC upstream_reset_before_response_started{connection_termination} 0");
  assert.equal(await ended(200), "200 - via_upstream 0");
  assert.equal(await ended(404), "404 - via_upstream 0");
});

test("a retry that the circuit breaker refuses is reported as an overflow", async () => {
  assert.equal(await ended(503, { cluster: { maxRetries: 0 } }), "503 UO via_upstream 1");
  assert.equal(
    await ended(undefined, { cluster: { maxRetries: 0 } }),
    "503 UO,UC upstream_reset_before_response_started{connection_termination} 1",
  );
});

test("the reply after a retry says that it was not the first attempt", async () => {
  await using harness = await Harness.start();
  const { port, server } = await harness.backend(() => undefined);
  server.close();
  for (const [retries, text] of [
    [0, /^upstream connect error or disconnect\/reset before headers\. reset reason: remote connection failure/],
    [1, /reset before headers\. retried and the latest reset reason: remote connection failure, transport failure/],
  ] as const) {
    harness.cluster("a", [port]);
    harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ retries, on: { connectFailure: true } }) })));
    assert.match((await harness.get("/")).body, text);
  }
});

test("a request that is too large for retries has used up none", async () => {
  assert.equal(await ended(503, { size: 2 * 1024 * 1024 }), "503 - via_upstream 0");
});

test("a listener's rule for local replies sees each of both flags", async () => {
  const message = fromJson(LocalReplyConfigSchema, {
    mappers: [{ filter: { responseFlagFilter: { flags: ["UC"] } }, statusCode: 418 }],
  });
  const localReplies = compileLocalReplies(message, "l", new ConfigNotes(() => undefined));
  assert.match(await ended(undefined, { config: { localReplies } }), /^418 URX,UC /);
});

test("joined flags keep their order, in letters and in names", () => {
  const { upstreamOverflow, upstreamRetryLimitExceeded, upstreamConnectionFailure, none } = responseFlags;
  const joined = joinFlags(upstreamRetryLimitExceeded, upstreamConnectionFailure);
  assert.deepEqual(
    [flagLetters(joined), flagNames(joined)],
    ["URX,UF", "UpstreamRetryLimitExceeded,UpstreamConnectionFailure"],
  );
  assert.deepEqual(eachFlag(joined), [upstreamRetryLimitExceeded, upstreamConnectionFailure]);
  assert.equal(flagLetters(joinFlags(upstreamOverflow, upstreamConnectionFailure)), "UO,UF");
  assert.equal(joinFlags(undefined, upstreamConnectionFailure), upstreamConnectionFailure);
  assert.equal(joinFlags(upstreamOverflow, none), upstreamOverflow);
});
