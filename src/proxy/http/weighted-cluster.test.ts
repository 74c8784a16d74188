import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpFilter } from "../filters/http-filter.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

const requests = 40;

test("on a route with weights, a filter reads the cluster that then gets the request", async () => {
  const filter: HttpFilter = {
    name: "reader",
    onRequest: (request) => {
      // A second reader must see the same cluster.
      for (let read = 0; read < 3; read += 1) request.addResponseHeader("x-cluster", request.cluster ?? "(none)");
      return undefined;
    },
  };
  await using harness = await Harness.start({ filters: [filter], filtersIdle: false });
  for (const name of ["a", "b"]) harness.cluster(name, [(await harness.backend((_, answer) => answer.end(name))).port]);
  const clusters = ["a", "b"].map((cluster) => ({
    cluster,
    weight: 1,
    hostRewrite: undefined,
    requestMutation: undefined,
    responseMutation: undefined,
  }));
  harness.table = tableOf(route(forwardTo("", { target: { kind: "weighted", totalWeight: 2, clusters } })));
  const seen = new Set<string>();
  for (let index = 0; index < requests; index += 1) {
    const { body, headers } = await harness.get("/");
    assert.equal(headers["x-cluster"], `${body}, ${body}, ${body}`);
    seen.add(body);
  }
  assert.deepEqual([...seen].toSorted(), ["a", "b"]);
});
