import assert from "node:assert/strict";
import { test } from "node:test";
import { until } from "../base/testing/index.ts";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { DataPath } from "./data-path.ts";
import { httpListener, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce } from "./testing/harness.ts";
import { TestProxy } from "./testing/test-proxy.ts";

/** A data path that applies each update only after a while, like workers that have just started. */
class SlowPath extends DataPath {
  override subscriptions(): ReturnType<DataPath["subscriptions"]> {
    return super.subscriptions().map((subscription) => ({
      ...subscription,
      apply: async (update) => {
        await new Promise((resolve) => setTimeout(resolve, 60));
        await subscription.apply(update);
      },
    }));
  }
}

test("a proxy that has answered one update is not ready while the next is already received", async () => {
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    serve: (data) => new SlowPath(data),
  });
  const { ads } = proxy;
  const port = await freePort();
  ads.push(typeUrls.cluster, {});
  ads.push(typeUrls.listener, {});
  await until(() => ads.hasAskedFor(typeUrls.listener));
  ads.push(typeUrls.cluster, {});
  ads.push(typeUrls.listener, { [`listener_${port}`]: httpListener(port, "http.80") });
  ads.push(typeUrls.route, { "http.80": weightedRoute("http.80", { a: 1 }) });
  await proxy.ready();
  assert.equal((await fetchOnce(port, "/")).status, 500, "it listens, and knows no cluster a");
  assert.equal(ads.acknowledgements.filter(({ typeUrl }) => typeUrl === typeUrls.listener).length, 2);
});
