import assert from "node:assert/strict";
import { test } from "node:test";
import { podKind, namespaceKind, serviceKind } from "../../api/kubernetes/index.ts";
import { silentLogger, systemClock } from "../../base/index.ts";
import { createModelFixture, namespace, pod, service } from "../testing/model-fixture.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import { MeshIngest } from "./mesh-ingest.ts";

test("only namespaces that a selector matches are read, and both may change", async () => {
  const kube = new FakeKubeClient();
  for (const [name, labels] of [
    ["shop", { mesh: "yes" }],
    ["other", {}],
  ] as const) {
    kube.put(namespaceKind, namespace(name, labels));
    kube.put(podKind, pod(`${name}/web-1`, "10.1.0.1"));
    kube.put(serviceKind, service(`${name}/web`, "10.96.0.1", { app: "web" }, []));
  }
  const { graph, inputs } = createModelFixture();
  const ingest = new MeshIngest({ client: kube, inputs, revision: "default", clock: systemClock, log: silentLogger });
  ingest.setSelectors([{ matchLabels: { mesh: "yes" } }, { matchExpressions: [{ key: "late", operator: "Exists" }] }]);
  const stop = new AbortController();
  const done = ingest.run(stop.signal);
  await ingest.synced;
  const namespaces = (): readonly string[] => {
    graph.settle();
    return [...inputs.pods.entries(), ...inputs.services.entries()].map(([key]) => key).sort();
  };
  const excluded = (): readonly string[] => [...inputs.excludedNamespaces.entries()].map(([key]) => key);
  assert.deepEqual(namespaces(), ["shop/web", "shop/web-1"]);
  assert.deepEqual(excluded(), ["other"]);
  assert.deepEqual([...inputs.namespaces.entries()].map(([key]) => key).sort(), ["other", "shop"]);
  kube.put(namespaceKind, namespace("other", { late: "" }));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(namespaces(), ["other/web", "other/web-1", "shop/web", "shop/web-1"]);
  ingest.setSelectors([{ matchLabels: { late: "" } }]);
  assert.deepEqual(namespaces(), ["other/web", "other/web-1"]);
  assert.deepEqual(excluded(), ["shop"]);
  kube.put(podKind, pod("shop/web-2", "10.1.0.2"));
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(namespaces(), ["other/web", "other/web-1"]);
  ingest.setSelectors([]);
  assert.deepEqual(namespaces(), ["other/web", "other/web-1", "shop/web", "shop/web-1", "shop/web-2"]);
  assert.deepEqual(excluded(), []);
  stop.abort();
  await done;
});
