import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { RetryPolicySchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileRetry } from "../config/routing/retry-config.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

test("a response for a rate limit is retried only if the policy names rate limits", async () => {
  for (const [retryOn, marked, attempts] of [
    ["retriable-status-codes,5xx", false, 3],
    ["retriable-status-codes,5xx", true, 1],
    ["envoy-ratelimited", true, 3],
    ["envoy-ratelimited", false, 1],
  ] as const) {
    await using harness = await Harness.start();
    let requests = 0;
    const { port } = await harness.backend((_request, response) => {
      requests += 1;
      response.writeHead(429, marked ? { "x-envoy-ratelimited": "true" } : {}).end();
    });
    harness.cluster("a", [port]);
    const policy = create(RetryPolicySchema, { retryOn, numRetries: 2, retriableStatusCodes: [429] });
    const retry = compileRetry(policy, "test", new ConfigNotes(() => undefined));
    harness.table = tableOf(route(forwardTo("a", { retry })));
    assert.equal((await harness.get("/")).status, 429);
    assert.equal(requests, attempts, `${retryOn}, ${marked ? "with" : "without"} the mark`);
  }
});
