import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger, type Clock } from "../../base/index.ts";
import { CollectionGraph } from "../../kube/index.ts";
import { SecretAccess } from "../ca/index.ts";
import { createMeshInputs, secretReferences, type PodFacts, type SecretReference } from "../model/index.ts";
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
  const references = graph.source<SecretReference>("references");
  /** A Gateway of the namespace `edge` names a secret. Without an account, the user deploys the Gateway's proxies. */
  const name = (gateway: string, resource: string, account?: string): void => {
    const recipient = { gateway, ...(account === undefined ? {} : { account }) };
    for (const reference of secretReferences(resource, "edge"))
      references.set(`${gateway}|${reference.name}`, { ...reference, recipient });
    graph.settle();
  };
  const permission = secretPermission(inputs, [references], access);
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
  const run = (
    pod: string,
    serviceAccount: string,
    labels: Readonly<Record<string, string>>,
    more: Partial<PodFacts> = {},
  ): void => {
    const facts = { namespace: "edge", name: pod, serviceAccount, labels, ...more };
    inputs.pods.set(`edge/${pod}`, facts as unknown as PodFacts);
    graph.settle();
  };
  return { name, run, kube, changes, viewOf, pass: (ms: number) => (nowMs += ms) };
}

test("a workload of a gateway's namespace gets no key that its account could not read", async () => {
  const { kube, changes, viewOf } = setUp();
  kube.secretReaders.add("system:serviceaccount:edge:gateway");
  const [gateway, workload, far] = [viewOf("gateway"), viewOf("workload"), viewOf("gateway", "elsewhere")];
  for (const view of [gateway, workload, far])
    assert.equal(view.get("kubernetes://one"), undefined, "nothing is known");
  await settled();
  assert.deepEqual(changes, ["kubernetes://one"], "the view of an account with the right changes at once");
  assert.notEqual(gateway.get("kubernetes://one"), undefined);
  for (const view of [workload, far]) assert.equal(view.get("kubernetes://one"), undefined);
  assert.notEqual(workload.get("configmap://edge/roots-cacert"), undefined);
});

test("the control plane reviews an account's rights once a minute, so a revoked right takes effect", async () => {
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
  const { name, viewOf } = setUp();
  name("api", "kubernetes-gateway://edge/one", "api-istio");
  name("api", "kubernetes-gateway://vault/granted", "api-istio");
  const [gateway, workload] = [viewOf("api-istio"), viewOf("web")];
  assert.notEqual(gateway.get("kubernetes-gateway://edge/one"), undefined);
  assert.notEqual(gateway.get("kubernetes-gateway://vault/granted"), undefined);
  for (const resource of ["kubernetes-gateway://edge/one", "kubernetes://one"]) workload.get(resource);
  gateway.get("kubernetes://one");
  await settled();
  assert.equal(workload.get("kubernetes-gateway://edge/one"), undefined);
  assert.equal(workload.get("kubernetes://one"), undefined);
  assert.equal(gateway.get("kubernetes://one"), undefined);
});

test("a gateway gets no key of another Gateway of its namespace, and no label of a pod changes that", async () => {
  const { name, run, viewOf } = setUp();
  name("api", "kubernetes-gateway://edge/one", "api-istio");
  run("other-1", "other-istio", { "gateway.networking.k8s.io/gateway-name": "other" });
  run("web-1", "web", { "gateway.networking.k8s.io/gateway-name": "api" });
  for (const account of ["other-istio", "web"]) {
    const view = viewOf(account);
    view.get("kubernetes-gateway://edge/one");
    await settled();
    assert.equal(view.get("kubernetes-gateway://edge/one"), undefined, account);
  }
});

test("an account that may list Secrets gets those of its namespace, but no secret that a ReferenceGrant gives to another account", async () => {
  const { name, kube, viewOf } = setUp();
  kube.secretReaders.add("system:serviceaccount:edge:reader");
  name("api", "kubernetes-gateway://edge/one", "api-istio");
  name("api", "kubernetes-gateway://vault/granted", "api-istio");
  const view = viewOf("reader");
  for (const resource of ["kubernetes-gateway://edge/one", "kubernetes-gateway://vault/granted"]) view.get(resource);
  await settled();
  assert.notEqual(view.get("kubernetes-gateway://edge/one"), undefined);
  assert.equal(view.get("kubernetes-gateway://vault/granted"), undefined);
});

test("proxies that somebody else deployed for a Gateway get its secrets because of the Gateway's label, or by their own rights", async () => {
  const { name, run, kube, viewOf } = setUp();
  kube.secretReaders.add("system:serviceaccount:edge:reader");
  name("own", "kubernetes-gateway://vault/granted");
  run("own-1", "own", { "gateway.networking.k8s.io/gateway-name": "own" });
  run("api-1", "api-istio", { "gateway.networking.k8s.io/gateway-name": "api" });
  // A kubelet may make such a pod in any namespace.
  run("mirror-1", "default", { "gateway.networking.k8s.io/gateway-name": "own" }, { hasNoAccount: true });
  const [own, reader, other, mirror] = [viewOf("own"), viewOf("reader"), viewOf("api-istio"), viewOf("default")];
  for (const view of [own, reader, other, mirror]) view.get("kubernetes-gateway://vault/granted");
  await settled();
  assert.equal(mirror.get("kubernetes-gateway://vault/granted"), undefined);
  assert.notEqual(own.get("kubernetes-gateway://vault/granted"), undefined);
  assert.notEqual(reader.get("kubernetes-gateway://vault/granted"), undefined);
  assert.equal(other.get("kubernetes-gateway://vault/granted"), undefined);
});
