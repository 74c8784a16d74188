import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayClassKind, gatewayKind, httpRouteKind } from "../../api/gateway/index.ts";
import {
  envoyFilterKind,
  istioKinds,
  telemetryKind,
  virtualServiceKind,
  wasmPluginKind,
} from "../../api/istio/index.ts";
import { ingressKind, serviceKind } from "../../api/kubernetes/index.ts";
import { createLogger, silentLogger, systemClock } from "../../base/index.ts";
import { CollectionGraph, createInformer } from "../../kube/index.ts";
import { readControlPlaneSettings, readResourceFilter } from "../../api/pilot-settings/index.ts";
import { MeshIngest, ServedVersionClient } from "./index.ts";
import { createMeshInputs } from "../model/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { config, service } from "../testing/model-fixture.ts";

const pluginsOnly = {
  PILOT_IGNORE_RESOURCES: "*.istio.io, gatewayclasses.gateway.networking.k8s.io,",
  PILOT_INCLUDE_RESOURCES: "*.telemetry.istio.io,wasmplugins.extensions.istio.io",
};

test("kinds that PILOT_IGNORE_RESOURCES names are ignored, except those that PILOT_INCLUDE_RESOURCES names", () => {
  const isIgnored = readResourceFilter(pluginsOnly);
  const ignored = [...istioKinds, gatewayKind, gatewayClassKind, httpRouteKind].filter((kind) => isIgnored?.(kind));
  assert.deepEqual(
    [telemetryKind, wasmPluginKind, gatewayKind, httpRouteKind].filter((kind) => ignored.includes(kind as never)),
    [],
  );
  assert.equal(ignored.length, istioKinds.length - 2 + 1);
});

test("Kubernetes' own kinds are never ignored, and PILOT_INCLUDE_RESOURCES alone changes nothing", () => {
  const isIgnored = readResourceFilter({
    PILOT_IGNORE_RESOURCES: "ingresses.networking.k8s.io,*.networking.k8s.io,*.k8s.io",
  });
  assert.deepEqual(
    [ingressKind, serviceKind, gatewayKind].map((kind) => isIgnored?.(kind)),
    [false, false, true],
  );
  assert.equal(readResourceFilter({ PILOT_INCLUDE_RESOURCES: "wasmplugins.extensions.istio.io" }), undefined);
});

test("the control plane does not start with an invalid pattern, and the error names the variable", () => {
  for (const [variable, text] of [
    ["PILOT_IGNORE_RESOURCES", "*"],
    ["PILOT_IGNORE_RESOURCES", "*.istio.io,VirtualService"],
    ["PILOT_INCLUDE_RESOURCES", "virtualservices.*.istio.io"],
  ] as const) {
    assert.throws(
      () => readControlPlaneSettings([], { [variable]: text }, "1.0.0"),
      new RegExp(`${variable} must list <plural>\\.<group> or \\*\\.<group>, separated by commas, got "`),
    );
  }
});

test("objects of ignored kinds are not in the model, and clients can neither read nor create them", async () => {
  const kube = new FakeKubeClient();
  const client = new ServedVersionClient(kube, readResourceFilter(pluginsOnly));
  const inputs = createMeshInputs(new CollectionGraph());
  const lines: string[] = [];
  const ingest = new MeshIngest({
    client,
    inputs,
    revision: "default",
    isIgnored: readResourceFilter(pluginsOnly),
    clock: systemClock,
    log: createLogger({ scope: "test", write: (line) => void lines.push(line) }),
  });
  kube.put(serviceKind, service("shop/web", "10.96.0.5", { app: "web" }, [{ name: "http", port: 80, targetPort: 80 }]));
  kube.put(virtualServiceKind, config("VirtualService", "shop/web", { hosts: ["web"], tls: "not valid" }));
  kube.put(envoyFilterKind, config("EnvoyFilter", "shop/all", { configPatches: [] }));
  kube.put(wasmPluginKind, config("WasmPlugin", "shop/plugin", { url: "oci://plugins/one:1" }));
  const stopped = new AbortController();
  const classes = createInformer(client, gatewayClassKind, { clock: systemClock, log: silentLogger });
  const work = [ingest.run(stopped.signal), classes.run(stopped.signal)];
  await Promise.all([ingest.synced, classes.synced]);
  assert.deepEqual(
    [inputs.services, inputs.virtualServices, inputs.extensions.envoyFilters, inputs.extensions.wasmPlugins].map(
      (source) => [...source.values()].length,
    ),
    [1, 0, 0, 1],
  );
  assert.deepEqual([...ingest.refused.ids()], []);
  assert.equal(ingest.informer("VirtualService"), undefined);
  assert.match(
    lines.join(""),
    /gatewayclasses\.gateway\.networking\.k8s\.io, .*virtualservices\.networking\.istio\.io/,
  );
  assert.equal(await client.get(virtualServiceKind, "web", "shop"), undefined);
  await assert.rejects(client.create(gatewayClassKind, { metadata: { name: "istio" } } as never), /is ignored here/);
  stopped.abort();
  await Promise.all(work);
});
