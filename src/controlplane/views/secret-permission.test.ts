import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, type Clock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { SecretAccess } from "../ca/index.ts";
import { createMeshInputs, type PodFacts } from "../model/index.ts";
import { secretPermission } from "./secret-permission.ts";
import { PermittedView } from "../serve/index.ts";
import { FakeKubeClient } from "../testing/fake-kube-client.ts";
import type { EncodedResource } from "../translate/index.ts";

const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

function setUp() {
  const graph = new CollectionGraph();
  const inputs = createMeshInputs(graph);
  const kube = new FakeKubeClient();
  let nowMs = 1000;
  const clock = { steadyMs: () => nowMs } as unknown as Clock;
  const access = new SecretAccess({
    clientOf: (id) => (id === "home" ? kube : undefined),
    clock,
    log: silentLogger,
  });
  const permission = secretPermission(inputs, access);
  const changes: string[] = [];
  const viewOf = (serviceAccount: string, clusterId = "home"): PermittedView => {
    const view = new PermittedView(
      {
        get: (name) => ({ name }) as unknown as EncodedResource,
        all: () => [],
        subscribe: () => ({ [Symbol.dispose]: () => undefined }),
      },
      (name, learned) => permission({ clusterId, namespace: "edge", serviceAccount }, name, learned),
    );
    view.subscribe((names) => changes.push(...names));
    return view;
  };
  return { graph, inputs, kube, changes, viewOf, pass: (ms: number) => (nowMs += ms) };
}

test("a workload of a gateway's namespace gets no key that its account could not read", async () => {
  const { kube, changes, viewOf } = setUp();
  kube.secretReaders.add("system:serviceaccount:edge:gateway");
  const [gateway, workload, far] = [viewOf("gateway"), viewOf("workload"), viewOf("gateway", "elsewhere")];
  for (const view of [gateway, workload, far])
    assert.equal(view.get("kubernetes://one"), undefined, "nothing is known");
  await settled();
  assert.deepEqual(changes, ["kubernetes://one"], "who may have it is told at once");
  assert.notEqual(gateway.get("kubernetes://one"), undefined);
  for (const view of [workload, far]) assert.equal(view.get("kubernetes://one"), undefined);
  // Roots are nobody's secret.
  assert.notEqual(workload.get("configmap://edge/roots-cacert"), undefined);
});

test("the API server is asked once a minute about an account, and a revoked right is noticed", async () => {
  const { kube, changes, viewOf, pass } = setUp();
  const user = "system:serviceaccount:edge:gateway";
  kube.secretReaders.add(user);
  const view = viewOf("gateway");
  for (let index = 0; index < 50; index += 1) view.get(`kubernetes://s${index}`);
  await settled();
  for (let index = 0; index < 50; index += 1) assert.notEqual(view.get(`kubernetes://s${index}`), undefined);
  assert.equal(kube.accessReviews, 1);
  kube.secretReaders.delete(user);
  changes.length = 0;
  pass(61_000);
  assert.notEqual(view.get("kubernetes://s0"), undefined, "what was known holds until there is an answer");
  await settled();
  assert.deepEqual(changes, ["kubernetes://s0"]);
  assert.equal(view.get("kubernetes://s0"), undefined);
  assert.equal(kube.accessReviews, 2);
});

test("pods that were created for a Gateway get its secrets, whatever their account may list", async () => {
  const { graph, inputs, viewOf } = setUp();
  const pod = { namespace: "edge", name: "api-1", serviceAccount: "api-istio" };
  inputs.pods.set("edge/api-1", {
    ...pod,
    labels: { "gateway.networking.k8s.io/gateway-name": "api" },
  } as unknown as PodFacts);
  inputs.pods.set("edge/web-1", { ...pod, name: "web-1", serviceAccount: "web", labels: {} } as unknown as PodFacts);
  graph.settle();
  const [gateway, workload] = [viewOf("api-istio"), viewOf("web")];
  assert.notEqual(gateway.get("kubernetes-gateway://edge/one"), undefined);
  for (const name of ["kubernetes-gateway://edge/one", "kubernetes://one"]) workload.get(name);
  gateway.get("kubernetes://one");
  await settled();
  assert.equal(workload.get("kubernetes-gateway://edge/one"), undefined);
  assert.equal(workload.get("kubernetes://one"), undefined);
  assert.equal(gateway.get("kubernetes://one"), undefined);
});
