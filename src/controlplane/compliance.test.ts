import assert from "node:assert/strict";
import { once } from "node:events";
import { after, test } from "node:test";
import { connect, type ConnectionOptions } from "node:tls";
import { namespaceKind } from "../api/kubernetes/index.ts";
import { ShutdownController, silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { freePort, TestAuthority } from "../net/testing/index.ts";
import { MetricsRegistry } from "../telemetry/index.ts";
import { readControlPlaneSettings } from "../api/pilot-settings/index.ts";
import { ControlPlane } from "./control-plane.ts";
import { readInjectionSettings, readMeshForInjection } from "../inject/index.ts";
import { FakeKubeClient } from "./testing/fake-kube-client.ts";
import { namespace } from "./testing/model-fixture.ts";
import { serveWebhooks, webhookTls } from "./webhooks/index.ts";

const host = "127.0.0.1";
const flags = ["httpAddr", "grpcAddr", "secureGRPCAddr", "httpsAddr", "monitoringAddr"] as const;
const ports = Object.fromEntries(
  await Promise.all(flags.map(async (flag) => [flag, await freePort(host)] as const)),
) as Readonly<Record<(typeof flags)[number], number>>;

/** The TLS version of a new connection, or `refused`. */
async function dialed(port: number, options: ConnectionOptions): Promise<string> {
  const socket = connect({ host, port, rejectUnauthorized: false, ...options });
  try {
    await once(socket, "secureConnect");
    return socket.getProtocol() ?? "";
  } catch {
    return "refused";
  } finally {
    socket.destroy();
  }
}

test("discovery, the CA and the webhooks refuse clients that the compliance policy excludes", async () => {
  const kube = new FakeKubeClient();
  kube.put(namespaceKind, namespace("istio-system"));
  const shutdown = new ShutdownController();
  const done = new ControlPlane({
    client: kube,
    settings: readControlPlaneSettings(
      ["discovery", ...flags.map((flag) => `--${flag}=${host}:${ports[flag]}`), "--meshConfig", "/nonexistent/mesh"],
      { COMPLIANCE_POLICY: "pqc" },
      "0.0.0",
    ),
    version: "1.2.3",
    metrics: new MetricsRegistry(),
    clock: systemClock,
    log: silentLogger,
  }).run(shutdown);
  after(async () => {
    shutdown.request("the test is over");
    shutdown.request("the test is over");
    await done;
  });
  await until(
    async () => (await fetch(`http://${host}:${ports.httpAddr}/ready`).catch(() => undefined))?.status === 200,
  );
  for (const port of [ports.secureGRPCAddr, ports.httpsAddr]) {
    assert.equal(await dialed(port, { ecdhCurve: "X25519MLKEM768" }), "TLSv1.3");
    assert.equal(await dialed(port, { ecdhCurve: "P-256" }), "refused");
    assert.equal(await dialed(port, { maxVersion: "TLSv1.2" }), "refused");
  }
});

test("webhooks keep the policy when their certificate is renewed", async () => {
  const { certificateChain, privateKey } = await (await TestAuthority.create()).issue({ dns: "istiod.test" });
  const serving = { certificate: certificateChain, privateKey, notAfterMs: Number.MAX_SAFE_INTEGER };
  const defaults = { hub: "h", tag: "1", istioNamespace: "i", revision: "default", clusterName: "c", network: "" };
  const server = await serveWebhooks({
    address: host,
    port: 0,
    certificate: serving,
    compliance: "fips-140-2",
    scope: () => ({
      context: {
        settings: readInjectionSettings({}, defaults),
        mesh: readMeshForInjection({}),
        revision: "default",
        nativeSidecars: true,
        proxyConfigs: [],
      },
      namespaceLabels: {},
    }),
    metrics: new MetricsRegistry(),
    clock: systemClock,
    log: silentLogger,
  });
  after(() => server.close());
  const bound = server.address();
  const port = typeof bound === "object" && bound !== null ? bound.port : 0;
  for (const renewed of [false, true]) {
    if (renewed) server.setSecureContext(webhookTls(serving, "fips-140-2"));
    assert.equal(await dialed(port, {}), "TLSv1.2");
    assert.equal(await dialed(port, { minVersion: "TLSv1.3" }), "refused");
  }
});
