import assert from "node:assert/strict";
import { test } from "node:test";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce } from "./testing/harness.ts";
import { TestProxy } from "./testing/test-proxy.ts";

test("a client that connects to the proxy's own ports through the proxy can neither end it nor read its admin port", async () => {
  await using proxy = await TestProxy.start({
    name: "edge",
    role: "router",
    authority: new FakeCertificateAuthority(),
  });
  const { ads, ports } = proxy;
  const [toStats, toAdmin] = [await freePort(), await freePort()];
  ads.push(typeUrls.cluster, { stats: edsCluster("stats"), admin: edsCluster("admin") });
  ads.push(typeUrls.endpoint, {
    stats: plainEndpoints("stats", [ports.stats]),
    admin: plainEndpoints("admin", [ports.admin]),
  });
  ads.push(typeUrls.listener, {
    toStats: httpListener(toStats, "stats"),
    toAdmin: httpListener(toAdmin, "admin"),
  });
  ads.push(typeUrls.route, {
    stats: weightedRoute("stats", { stats: 1 }),
    admin: weightedRoute("admin", { admin: 1 }),
  });
  await proxy.ready();
  const statusOf = async (port: number, method: string, path: string): Promise<number> =>
    (await fetchOnce(port, path, { method })).status;
  for (const path of ["/quitquitquit", "/drain"]) assert.equal(await statusOf(toStats, "POST", path), 403, path);
  for (const [method, path] of [
    ["POST", "/quitquitquit"],
    ["POST", "/healthcheck/fail"],
    ["POST", "/logging?level=trace"],
    ["GET", "/config_dump"],
    ["GET", "/certs"],
    ["GET", "/"],
  ] as const)
    assert.equal(await statusOf(toAdmin, method, path), 403, path);
  // Requests that the proxy relays to its own ports still get its public pages. Commands from the pod's own processes
  // work.
  assert.equal(await statusOf(toStats, "GET", "/stats/prometheus"), 200);
  assert.equal(await statusOf(ports.admin, "GET", "/config_dump"), 200);
  assert.equal(await statusOf(ports.stats, "POST", "/quitquitquit"), 200);
  await proxy.ended;
});
