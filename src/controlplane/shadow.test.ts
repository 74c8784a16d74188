import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "../net/testing/index.ts";
import { namespaceKind, podKind, serviceKind } from "../api/kubernetes/index.ts";
import { ShutdownController, silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { MetricsRegistry } from "../telemetry/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { ControlPlane } from "./control-plane.ts";
import { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { DiscoveryTestClient } from "./serve/testing/discovery-client.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { namespace, pod, service } from "./testing/model-fixture.ts";

class WatchedKubeClient extends FakeKubeClient {
  readonly writes: string[] = [];

  #note(method: string): never {
    this.writes.push(method);
    throw new Error(`${method} in a shadow`);
  }

  override create = async (): Promise<never> => this.#note("create");
  override update = async (): Promise<never> => this.#note("update");
  override patchMerge = async (): Promise<never> => this.#note("patchMerge");
  override apply = async (): Promise<never> => this.#note("apply");
  override delete = async (): Promise<never> => this.#note("delete");
}

test("a shadow answers proxies without TLS, and writes nothing", async () => {
  const kube = new WatchedKubeClient();
  kube.put(namespaceKind, namespace("istio-system"));
  kube.put(namespaceKind, namespace("shop"));
  kube.put(
    serviceKind,
    service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 8080 }]),
  );
  kube.put(podKind, pod("shop/web-1", "10.244.1.5", { labels: { app: "web" }, account: "web" }));
  const [http, discovery] = [await freePort("127.0.0.1"), await freePort("127.0.0.1")];
  const settings = readControlPlaneSettings(
    [
      "discovery",
      "--shadow",
      "--httpAddr",
      `127.0.0.1:${http}`,
      "--grpcAddr",
      `127.0.0.1:${discovery}`,
      "--meshConfig",
      "/nonexistent/mesh",
    ],
    {},
    "1.0.0",
  );
  const shutdown = new ShutdownController();
  const done = new ControlPlane({
    client: kube,
    settings,
    version: "1.0.0",
    metrics: new MetricsRegistry(),
    clock: systemClock,
    log: silentLogger,
  }).run(shutdown);
  await until(async () => (await fetch(`http://127.0.0.1:${http}/ready`).catch(() => undefined))?.status === 200);
  const client = new DiscoveryTestClient(
    "whole",
    `127.0.0.1:${discovery}`,
    "sidecar~10.244.1.5~web-1.shop~shop.svc.cluster.local",
    { metadata: { NAMESPACE: "shop" } },
  );
  client.send({ typeUrl: typeUrls.cluster });
  const { resources } = await client.next();
  assert.ok(resources.length > 2, `${resources.length} clusters`);
  client.close();
  shutdown.request("the test is over");
  await done;
  assert.deepEqual(kube.writes, []);
});

test("a shadow listens only on the loopback, and for proxies only if configured", () => {
  assert.throws(
    () => readControlPlaneSettings(["discovery", "--shadow", "--grpcAddr", ":15010"], {}, "1.0.0"),
    /a shadow must listen on the loopback, got --grpcAddr :15010/,
  );
  assert.throws(
    () => readControlPlaneSettings(["--httpAddr=0.0.0.0:8080"], { SHADOW: "true" }, "1.0.0"),
    /must listen on the loopback/,
  );
  const { shadow, http } = readControlPlaneSettings([], { SHADOW: "true" }, "1.0.0");
  assert.deepEqual([shadow, http.address], [{ discovery: undefined }, "127.0.0.1"]);
  assert.equal(readControlPlaneSettings([], {}, "1.0.0").shadow, undefined);
});
