import assert from "node:assert/strict";
import { test } from "node:test";
import { forwardTo, Harness, retryPolicy, route, tableOf } from "../testing/harness.ts";

test("connect-failure retries an idempotent request at another host if a new connection closes without an answer", async () => {
  for (const [method, on, expected] of [
    ["GET", { connectFailure: true }, [200, 200]],
    ["PUT", { connectFailure: true }, [200, 200]],
    ["POST", { connectFailure: true }, [200, 503]],
    ["GET", { refusedStream: true }, [200, 503]],
  ] as const) {
    for (const leave of ["destroy", "resetAndDestroy"] as const) {
      await using harness = await Harness.start();
      let lost = 0;
      const gone = await harness.rawBackend((socket) => {
        lost += 1;
        socket.on("data", () => socket[leave]());
      });
      const here = await harness.backend((_request, response) => response.end("served"));
      const cluster = harness.cluster("a", [here.port, gone]);
      harness.table = tableOf(route(forwardTo("a", { retry: retryPolicy({ on }) })));
      const body = method === "GET" ? {} : { body: "a body" };
      const statuses = [
        (await harness.get("/", { method, ...body })).status,
        (await harness.get("/", { method, ...body })).status,
      ];
      const label = `${method} ${JSON.stringify(on)} ${leave}`;
      assert.deepEqual(
        statuses.toSorted((left, right) => left - right),
        expected,
        label,
      );
      assert.ok(lost > 0, label);
      assert.equal(cluster.counters.retries, expected[1] === 200 ? lost : 0, label);
    }
  }
});
