import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson } from "@bufbuild/protobuf";
import { envoyRegistry, RetryPolicySchema } from "../../wire/envoy/index.ts";
import { ConfigNotes } from "../config/config-check.ts";
import { compileRetry } from "../config/routing/retry-config.ts";
import { standaloneServices } from "../filters/filter-services.ts";
import { endpointAt, forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";

/**
 * The priorities to which the attempts of one request went. Endpoints of `failing` answer 503, and those of `ejected`
 * get no requests.
 */
async function attempts(
  retries: number,
  failing: readonly number[],
  ejected: readonly number[] = [],
): Promise<{ readonly status: number; readonly chosen: readonly number[] }> {
  await using harness = await Harness.start();
  const chosen: number[] = [];
  const endpoints = await Promise.all(
    [0, 0, 1, 1, 2, 2].map(async (priority) => {
      const { port } = await harness.backend((_request, response) => {
        chosen.push(priority);
        response.statusCode = failing.includes(priority) ? 503 : 200;
        response.end();
      });
      return endpointAt(port, { priority, healthy: !ejected.includes(priority) });
    }),
  );
  harness.cluster("c", []).setEndpoints(endpoints);
  harness.table = tableOf(
    route(forwardTo("c", { retry: retryPolicy({ retries, on: { serverError: true }, otherPrioritiesAfter: 2 }) })),
  );
  const { status } = await harness.get("/");
  return { status, chosen };
}

test("after every second attempt a retry uses other priorities than the attempts before", async () => {
  assert.deepEqual(await attempts(4, [0]), { status: 200, chosen: [0, 0, 1] });
  assert.deepEqual(await attempts(6, [0, 1]), { status: 200, chosen: [0, 0, 1, 1, 2] });
});

test("when all priorities have been tried, they are tried again from the first", async () => {
  assert.deepEqual(await attempts(7, [0, 1, 2]), { status: 503, chosen: [0, 0, 1, 1, 2, 2, 0, 0] });
});

test("a priority without an endpoint that may take requests is skipped", async () => {
  assert.deepEqual(await attempts(4, [0], [1]), { status: 200, chosen: [0, 0, 2] });
});

test("the interval comes from Envoy's previous_priorities, and the error for any other retry priority names it", () => {
  const notes = new ConfigNotes(() => undefined, standaloneServices());
  const compile = (retryPriority: object) =>
    compileRetry(
      fromJson(
        RetryPolicySchema,
        { retryOn: "5xx", retryPriority: { ...retryPriority } },
        { registry: envoyRegistry() },
      ),
      "r",
      notes,
    );
  const typedConfig = {
    "@type": "type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
  };
  assert.equal(
    compile({ name: "envoy.retry_priorities.previous_priorities", typedConfig: { ...typedConfig, updateFrequency: 2 } })
      .otherPrioritiesAfter,
    2,
  );
  assert.throws(
    () => compile({ name: "envoy.retry_priorities.previous_priorities", typedConfig }),
    /updateFrequency must be above 0/,
  );
  assert.throws(() => compile({ name: "mine", typedConfig }), /the retry priority mine is not supported/);
});
