import assert from "node:assert/strict";
import { connect, createServer, type AddressInfo } from "node:net";
import { test } from "node:test";
import { until } from "../base/testing/index.ts";
import type { JsonObject } from "@bufbuild/protobuf";
import { FakeCertificateAuthority } from "../dataplane/index.ts";
import { freePort } from "../net/testing/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { edsCluster, httpListener, plainEndpoints, weightedRoute } from "./testing/ads-server.ts";
import { fetchOnce, Harness } from "./testing/harness.ts";
import { TestProxy } from "./testing/test-proxy.ts";

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", () => resolve(false));
  });
}

const startGateway = async (): Promise<TestProxy> =>
  await TestProxy.start({ name: "gateway", role: "router", authority: new FakeCertificateAuthority() });

test("listeners of a new proxy refuse connections until clusters have endpoints and listeners their routes", async () => {
  await using proxy = await startGateway();
  await using backends = await Harness.start();
  const backend = await backends.backend((_, response) => response.end("served"));
  const { ads } = proxy;
  const [port, second] = [await freePort(), await freePort()];
  ads.push(typeUrls.cluster, { a: edsCluster("a"), b: edsCluster("b") });
  ads.push(typeUrls.listener, {
    one: { ...(httpListener(port, "first") as JsonObject), name: "one" },
    two: { ...(httpListener(second, "second") as JsonObject), name: "two" },
  });
  assert.equal((await ads.acknowledged(typeUrls.listener, 0)).error, undefined);
  ads.push(typeUrls.route, { first: weightedRoute("first", { a: 1 }), second: weightedRoute("second", { a: 1 }) });
  await ads.acknowledged(typeUrls.route, 0);
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend.port]) });
  await ads.acknowledged(typeUrls.endpoint, 0);
  const { body } = await fetchOnce(proxy.ports.readiness, "/healthz/ready");
  assert.equal(body, "not ready, pending: endpoints of b, listener one, listener two\n");
  assert.deepEqual([await listens(port), await listens(second)], [false, false]);
  ads.push(typeUrls.endpoint, { b: { clusterName: "b" } });
  await proxy.ready();
  assert.deepEqual([(await fetchOnce(port, "/")).body, (await fetchOnce(second, "/")).body], ["served", "served"]);
});

test("a later listener listens when its routes have arrived, and a changed listener serves by its old routes until then", async () => {
  await using proxy = await startGateway();
  await using backends = await Harness.start();
  const backend = await backends.backend((_, response) => response.end("served"));
  const { ads } = proxy;
  const [port, second] = [await freePort(), await freePort()];
  const one = (routes: string): JsonObject => ({ ...(httpListener(port, routes) as JsonObject), name: "one" });
  ads.push(typeUrls.cluster, { a: edsCluster("a") });
  ads.push(typeUrls.endpoint, { a: plainEndpoints("a", [backend.port]) });
  ads.push(typeUrls.listener, { one: one("first") });
  ads.push(typeUrls.route, { first: weightedRoute("first", { a: 1 }) });
  await proxy.ready();
  const from = ads.acknowledgements.length;
  ads.push(typeUrls.listener, {
    one: one("other"),
    two: { ...(httpListener(second, "second") as JsonObject), name: "two" },
  });
  assert.equal((await ads.acknowledged(typeUrls.listener, from)).error, undefined);
  assert.equal((await fetchOnce(port, "/")).body, "served", "by the old routes");
  assert.equal(await listens(second), false);
  ads.push(typeUrls.route, { second: weightedRoute("second", { a: 1 }) });
  await until(() => listens(second));
  assert.equal((await fetchOnce(second, "/")).body, "served");
  ads.push(typeUrls.route, { other: weightedRoute("other", { none: 1 }) });
  await until(async () => (await fetchOnce(port, "/")).status === 500);
});

test("an address that another process has is reported at once, even while routes are missing", async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  await using _ = { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => void other.close(() => resolve())) };
  await using proxy = await startGateway();
  const { ads } = proxy;
  ads.push(typeUrls.cluster, {});
  ads.push(typeUrls.listener, {
    one: { ...(httpListener((other.address() as AddressInfo).port, "first") as JsonObject), name: "one" },
  });
  assert.match(String((await ads.acknowledged(typeUrls.listener, 0)).error), /listener one: .*EADDRINUSE/);
});
