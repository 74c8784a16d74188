import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../../../base/testing/index.ts";
import { forwardTo, Harness, plainOutliers, route, tableOf } from "../../testing/harness.ts";
import type { ClusterConfig } from "../../upstream/cluster.ts";
import type { ForwardAction } from "../../routing/route.ts";

interface Mirrored extends AsyncDisposable {
  readonly harness: Harness;
  readonly copies: (string | undefined)[];
}

/** A route whose mirror answers with this status, or not at all if it is undefined. */
async function mirrored(
  status: number | undefined,
  cluster: Partial<ClusterConfig> = {},
  action: Partial<ForwardAction> = {},
): Promise<Mirrored> {
  const harness = await Harness.start();
  const copies: (string | undefined)[] = [];
  harness.cluster("a", [(await harness.backend((_request, response) => response.end("ok"))).port]);
  const mirror = await harness.backend((request, response) => {
    copies.push(request.headers.host);
    if (status !== undefined) response.writeHead(status).end();
  });
  harness.cluster("mirror", [mirror.port], cluster);
  harness.table = tableOf(
    route(forwardTo("a", { mirrors: [{ cluster: "mirror", fraction: 1, keepHost: false }], ...action })),
  );
  return { harness, copies, [Symbol.asyncDispose]: () => harness[Symbol.asyncDispose]() };
}

test("a mirror gets the host that the route sets", async () => {
  await using made = await mirrored(200, {}, { rewriteHost: "inner.test:81" });
  await made.harness.get("/", { headers: { host: "shop.test" } });
  await until(() => made.copies.length === 1);
  assert.deepEqual(made.copies, ["inner.test-shadow:81"]);
});

test("copies keep to the limit of requests of their cluster, and requests themselves are served beyond it", async () => {
  await using made = await mirrored(undefined, { maxRequests: 2 });
  for (let request = 0; request < 5; request += 1) assert.equal((await made.harness.get("/")).status, 200);
  await until(() => made.copies.length === 2);
  const mirror = made.harness.clusters.get("mirror");
  assert.deepEqual([mirror?.breaker.requests.open, mirror?.counters.requests, mirror?.counters.overflow], [2, 2, 3]);
});

test("a mirror that fails is ejected, and its requests leave nothing in the limits of its cluster", async () => {
  await using made = await mirrored(500, { outliers: { ...plainOutliers, consecutiveServerErrors: 3 } });
  const mirror = made.harness.clusters.get("mirror");
  for (let request = 1; request <= 5; request += 1) {
    await made.harness.get("/");
    await until(() => mirror?.breaker.requests.open === 0);
  }
  assert.deepEqual([made.copies.length, mirror?.health.usable], [3, 0]);
});
