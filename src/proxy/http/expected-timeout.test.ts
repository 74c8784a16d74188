import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { HandClock, until } from "../../base/testing/index.ts";
import type { ForwardAction } from "../routing/route.ts";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";
import { formatGrpcTimeout } from "./grpc.ts";

const expected = "x-envoy-expected-rq-timeout-ms";

async function received(
  action: Partial<ForwardAction>,
  headers: Record<string, string> = {},
  { hidesEnvoyHeaders = false, remove = [] as string[] } = {},
): Promise<{ readonly request: IncomingHttpHeaders; readonly response: IncomingHttpHeaders }> {
  await using harness = await Harness.start({ useRemoteAddress: false, hidesEnvoyHeaders });
  let request: IncomingHttpHeaders = {};
  const { port } = await harness.backend((incoming, response) => {
    request = incoming.headers;
    response.end();
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(route(forwardTo("a", action), { requestMutations: [{ add: [], remove }] }));
  const response = await harness.get("/", { headers });
  return { request, response: response.headers };
}

test("the upstream gets the time that its attempt has", async () => {
  const told = async (action: Partial<ForwardAction>): Promise<unknown> => (await received(action)).request[expected];
  const perTry = (perTryTimeoutMs: number): Partial<ForwardAction> => ({ retry: retryPolicy({ perTryTimeoutMs }) });
  assert.equal(await told({ timeoutMs: 0 }), undefined, "no limit");
  assert.equal(await told({ timeoutMs: 9_000 }), "9000");
  assert.equal(await told({ timeoutMs: 9_000, ...perTry(2_000) }), "2000");
  assert.equal(await told({ timeoutMs: 0, ...perTry(2_000) }), "2000");
  assert.equal(await told({ timeoutMs: 1_000, ...perTry(2_000) }), "1000", "a longer limit of attempts does not count");
});

test("a gRPC upstream also gets the time of its attempt as its deadline, if the route follows deadlines", async () => {
  const grpc = { "content-type": "application/grpc", "grpc-timeout": "10S" };
  const limited = { grpcTimeout: { maxMs: 3_000, offsetMs: 0 } };
  const { request } = await received(limited, grpc);
  assert.deepEqual([request["grpc-timeout"], request[expected]], ["3000m", "3000"]);
  const { request: unlimited } = await received({ grpcTimeout: { maxMs: 0, offsetMs: 0 } }, grpc);
  assert.deepEqual([unlimited["grpc-timeout"], unlimited[expected]], ["10000m", "10000"]);
  const { request: plain } = await received({ timeoutMs: 3_000 }, grpc);
  assert.deepEqual([plain["grpc-timeout"], plain[expected]], ["10S", "3000"]);
  const { request: web } = await received(limited, { "grpc-timeout": "10S" });
  assert.equal(web["grpc-timeout"], "10S", "the request is not gRPC");
});

test("a deadline of any length fits into eight digits", () => {
  const hourMs = 3_600_000;
  assert.deepEqual(
    [99_999_999, 100_000_000, 100_000 * hourMs, 10_000_000 * hourMs, Number.MAX_SAFE_INTEGER].map(formatGrpcTimeout),
    ["99999999m", "100000S", "6000000M", "10000000H", "99999999H"],
  );
});

test("a route can remove the header with the time, and a router that suppresses headers writes none of its own", async () => {
  const { request } = await received({ timeoutMs: 9_000 }, { [expected]: "5" }, { remove: [expected] });
  assert.equal(request[expected], undefined);
  const shown = await received({ timeoutMs: 9_000, rewritePath: () => "/b" });
  assert.equal(shown.request["x-envoy-original-path"], "/");
  assert.match(String(shown.response["x-envoy-upstream-service-time"]), /^\d+$/);
  const hidden = await received({ timeoutMs: 9_000, rewritePath: () => "/b" }, {}, { hidesEnvoyHeaders: true });
  const names = [...Object.keys(hidden.request), ...Object.keys(hidden.response)];
  assert.deepEqual(
    names.filter((name) => name.startsWith("x-envoy-")),
    [],
  );
});

test("a retry gets the time that is left, and a number of attempts of any length stays intact", async () => {
  const clock = new HandClock();
  await using harness = await Harness.start({}, 1, { clock });
  const requests: (string | undefined)[][] = [];
  const { port } = await harness.backend((request, response) => {
    requests.push([expected, "grpc-timeout", "x-envoy-attempt-count"].map((name) => request.headers[name]?.toString()));
    clock.pass(requests.length === 1 ? 3 : 950);
    response.writeHead(requests.length < 3 ? 503 : 200, { "content-type": "application/grpc" }).end();
  });
  harness.cluster("a", [port]);
  harness.table = tableOf(
    route(
      forwardTo("a", {
        timeoutMs: 1_000,
        grpcTimeout: { maxMs: 1_000, offsetMs: 0 },
        includeAttemptCount: true,
        retry: retryPolicy({ on: { serverError: true }, retries: 5, baseIntervalMs: 0, maxIntervalMs: 0 }),
      }),
    ),
  );
  const answer = harness.get("/", { headers: { "content-type": "application/grpc" } });
  for (const made of [1, 2]) {
    await until(() => requests.length === made);
    await until(() => {
      clock.pass(0);
      return requests.length > made;
    });
  }
  assert.equal((await answer).status, 200);
  assert.deepEqual(requests, [
    ["1000", "1000m", "1"],
    ["997", "997m", "2"],
    ["47", "47m", "3"],
  ]);
});
