import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import type { Store } from "../store/index.ts";
import { fillStore, memoryStore } from "../store/testing/memory-store.ts";
import { AdmissionRefusal, type AdmissionRequest } from "./request.ts";
import { checkQuotas, quotasKey, quotaStatus } from "./resource-quotas.ts";
import { admissionRequest } from "./testing/admission-request.ts";

type List = Readonly<Record<string, string>>;

const here = (name: string, more: object = {}): object => ({ metadata: { name, namespace: "shop" }, ...more });
const quota = (name: string, hard: List, spec: object = {}): object => here(name, { spec: { hard, ...spec } });
const pod = (name: string, requests: List = {}, spec: object = {}, status: object = {}): object =>
  here(name, {
    spec: { containers: [{ name: "main", resources: { requests, limits: {} } }], ...spec },
    status,
  });

/** The message of a refused write, or `allowed`. */
function answer(store: Store, resource: string, object: object, more: Partial<AdmissionRequest> = {}): string {
  const request = admissionRequest(resource, object, more);
  try {
    checkQuotas(store, request, object as UntypedObject, request.oldObject);
    return "allowed";
  } catch (error) {
    assert.ok(error instanceof AdmissionRefusal, String(error));
    return error.message.replace(/^.* is forbidden: /, "");
  }
}

function usedIn(store: Store, name: string): Record<string, string> {
  const found = store.get(quotasKey, "shop", name);
  assert.ok(found !== undefined);
  return quotaStatus(store, found).used;
}

test("a write that fills a quota exactly is allowed, and the next one names request, use and limit", async () => {
  const store = await memoryStore({ [quotasKey]: [quota("few", { "requests.cpu": "1", pods: "2" })] });
  await fillStore(store, { "/pods": [pod("a", { cpu: "250m" })] });
  assert.equal(answer(store, "/pods", pod("b", { cpu: "750m" })), "allowed");
  assert.equal(
    answer(store, "/pods", pod("b", { cpu: "0.751" })),
    "exceeded quota: few, requested: requests.cpu=751m, used: requests.cpu=250m, limited: requests.cpu=1",
  );
  await fillStore(store, { "/pods": [pod("b", { cpu: "750m" })] });
  assert.equal(
    answer(store, "/pods", pod("c", { cpu: "1m" })),
    "exceeded quota: few, requested: pods=1,requests.cpu=1m, used: pods=2,requests.cpu=1, limited: pods=2,requests.cpu=1",
  );
});

test("a quota of another namespace does not count, and every quota of the own one must hold", async () => {
  const other = { ...quota("none", { pods: "0" }), metadata: { name: "none", namespace: "other" } };
  const store = await memoryStore({
    [quotasKey]: [other, quota("wide", { pods: "5" }), quota("narrow", { pods: "0" })],
  });
  assert.match(answer(store, "/pods", pod("a")), /^exceeded quota: narrow, /);
  await fillStore(store, { [quotasKey]: [quota("narrow", { pods: "1" })] });
  assert.equal(answer(store, "/pods", pod("a")), "allowed");
});

test("pods that ended use nothing but their place among the objects", async () => {
  const store = await memoryStore({
    [quotasKey]: [quota("few", { pods: "1", "requests.cpu": "1", "count/pods": "3" })],
    "/pods": [pod("a", { cpu: "1" }, {}, { phase: "Succeeded" }), pod("b", { cpu: "1" }, {}, { phase: "Failed" })],
  });
  assert.deepEqual(usedIn(store, "few"), { pods: "0", "requests.cpu": "0", "count/pods": "2" });
  assert.equal(answer(store, "/pods", pod("c", { cpu: "1" })), "allowed");
  await fillStore(store, { "/pods": [pod("c", { cpu: "0" }, {}, { phase: "Succeeded" })] });
  assert.match(answer(store, "/pods", pod("d", { cpu: "1" })), /requested: count\/pods=1, used: count\/pods=3/);
});

test("a quota of processor time or memory needs each container to state it, except in a pod that states it as a whole", async () => {
  const store = await memoryStore({ [quotasKey]: [quota("few", { "limits.memory": "1Gi", "requests.cpu": "1" })] });
  const bare = here("a", { spec: { containers: [{ name: "b" }, { name: "a" }], initContainers: [{ name: "c" }] } });
  assert.equal(
    answer(store, "/pods", bare),
    "failed quota: few: must specify limits.memory for: a,b,c; requests.cpu for: a,b,c",
  );
  const whole = { limits: { memory: "1Gi" }, requests: { cpu: "1" } };
  const asWhole = here("a", { spec: { containers: [{ name: "b" }], resources: whole } });
  assert.equal(answer(store, "/pods", asWhole), "allowed");
  const more = { ...whole, requests: { cpu: "2" } };
  assert.match(
    answer(store, "/pods", here("a", { spec: { containers: [{ name: "b" }], resources: more } })),
    /^exceeded quota: few, requested: requests.cpu=2, /,
  );
  const lenient = await memoryStore({ [quotasKey]: [quota("disk", { "requests.ephemeral-storage": "1Gi" })] });
  assert.equal(answer(lenient, "/pods", bare), "allowed");
});

test("overhead counts, and cpu is the same as requests.cpu", async () => {
  const store = await memoryStore({ [quotasKey]: [quota("few", { cpu: "1", "requests.cpu": "1" })] });
  assert.match(
    answer(store, "/pods", pod("a", { cpu: "900m" }, { overhead: { cpu: "101m" } })),
    /requested: cpu=1001m,requests.cpu=1001m/,
  );
});

test("scopes divide pods by deadline, quality, class and affinity", async () => {
  const scoped = async (
    scopeName: string,
    object: object,
    operator = "Exists",
    values?: string[],
  ): Promise<boolean> => {
    const expression = { scopeName, operator, ...(values === undefined ? {} : { values }) };
    const store = await memoryStore({
      [quotasKey]: [quota("none", { pods: "0" }, { scopeSelector: { matchExpressions: [expression] } })],
    });
    return answer(store, "/pods", object) !== "allowed";
  };
  const withClass = pod("a", {}, { priorityClassName: "gold" });
  const affinity = (term: object): object =>
    pod("a", {}, { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } });
  for (const [isIn, scope, object, ...rest] of [
    [true, "Terminating", pod("a", {}, { activeDeadlineSeconds: 5 })],
    [false, "NotTerminating", pod("a", {}, { activeDeadlineSeconds: 5 })],
    [true, "NotTerminating", pod("a")],
    [true, "BestEffort", pod("a", { cpu: "0" })],
    [false, "BestEffort", pod("a", { cpu: "1m" })],
    [true, "NotBestEffort", pod("a", {}, { resources: { requests: { cpu: "1" } } })],
    [true, "BestEffort", pod("a", { "example.com/gpu": "1" })],
    [true, "PriorityClass", withClass],
    [false, "PriorityClass", pod("a")],
    [true, "PriorityClass", withClass, "In", ["silver", "gold"]],
    [false, "PriorityClass", withClass, "NotIn", ["gold"]],
    [true, "PriorityClass", pod("a"), "DoesNotExist"],
    [true, "CrossNamespacePodAffinity", affinity({ topologyKey: "zone", namespaces: ["other"] })],
    [true, "CrossNamespacePodAffinity", affinity({ topologyKey: "zone", namespaceSelector: {} })],
    [false, "CrossNamespacePodAffinity", affinity({ topologyKey: "zone" })],
  ] as const)
    assert.equal(await scoped(scope, object, ...(rest as [])), isIn, `${scope} ${JSON.stringify(object)}`);
});

test("a quota with scopes does not count objects of other kinds", async () => {
  const store = await memoryStore({
    [quotasKey]: [quota("none", { configmaps: "0", services: "0" }, { scopes: ["NotTerminating"] })],
  });
  assert.equal(answer(store, "/configmaps", here("a")), "allowed");
  assert.equal(answer(store, "/services", here("a", { spec: { type: "ClusterIP" } })), "allowed");
});

test("a Service counts by its type, and its node ports one by one", async () => {
  const hard = { services: "9", "services.loadbalancers": "1", "services.nodeports": "3" };
  const store = await memoryStore({ [quotasKey]: [quota("few", hard)] });
  const service = (name: string, type: string, ports: object[], more: object = {}): object =>
    here(name, { spec: { type, ports, ...more } });
  await fillStore(store, {
    "/services": [
      service("a", "ClusterIP", [{ port: 1 }]),
      service("b", "NodePort", [{ port: 1 }, { port: 2 }]),
      service("c", "LoadBalancer", [{ port: 1 }, { port: 2 }], { allocateLoadBalancerNodePorts: false }),
    ],
  });
  assert.deepEqual(usedIn(store, "few"), { services: "3", "services.loadbalancers": "1", "services.nodeports": "2" });
  assert.equal(answer(store, "/services", service("d", "NodePort", [{ port: 1 }])), "allowed");
  assert.match(answer(store, "/services", service("d", "NodePort", [{ port: 1 }, { port: 2 }])), /nodeports=2, used/);
  assert.match(answer(store, "/services", service("d", "LoadBalancer", [])), /services.loadbalancers=1, used/);
});

test("an update counts only what it adds, and one that asks for less is always allowed", async () => {
  const claim = (storage: string): UntypedObject =>
    here("data", { spec: { resources: { requests: { storage } } } }) as UntypedObject;
  const store = await memoryStore({
    [quotasKey]: [quota("few", { "requests.storage": "2Gi", persistentvolumeclaims: "1" })],
    "/persistentvolumeclaims": [claim("2Gi")],
  });
  const update = (storage: string): string =>
    answer(store, "/persistentvolumeclaims", claim(storage), { operation: "UPDATE", oldObject: claim("2Gi") });
  assert.equal(update("2Gi"), "allowed");
  assert.equal(update("1Gi"), "allowed");
  assert.match(update("3Gi"), /requested: requests.storage=1Gi, used: requests.storage=2Gi, limited: /);
});

test("claims count for all classes and for their own, and objects by group and plural", async () => {
  const hard = {
    "requests.storage": "9Gi",
    "fast.storageclass.storage.k8s.io/requests.storage": "9Gi",
    "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "9",
    "count/deployments.apps": "9",
    "count/secrets": "9",
    secrets: "9",
  };
  const claim = (name: string, storageClassName: string): object =>
    here(name, { spec: { storageClassName, resources: { requests: { storage: "1Gi" } } } });
  const store = await memoryStore({
    [quotasKey]: [quota("all", hard)],
    "/persistentvolumeclaims": [claim("a", "fast"), claim("b", "slow")],
    "apps/deployments": [here("web")],
    "/secrets": [here("one"), here("two")],
  });
  assert.deepEqual(usedIn(store, "all"), {
    "requests.storage": "2Gi",
    "fast.storageclass.storage.k8s.io/requests.storage": "1Gi",
    "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
    "count/deployments.apps": "1",
    "count/secrets": "2",
    secrets: "2",
  });
});

test("a write that is not durable yet counts already", async () => {
  const store = await memoryStore({ [quotasKey]: [quota("one", { secrets: "1" })] });
  const writing = store.put("/secrets", here("first") as UntypedObject, "absent");
  assert.match(answer(store, "/secrets", here("second")), /^exceeded quota: one/);
  await writing;
});

test("status, bindings and objects of the whole cluster are not counted", async () => {
  const store = await memoryStore({ [quotasKey]: [quota("none", { pods: "0" })] });
  assert.equal(answer(store, "/pods", pod("a"), { operation: "UPDATE", subresource: "status" }), "allowed");
  assert.equal(answer(store, "/pods", pod("a"), { subresource: "binding" }), "allowed");
  assert.equal(answer(store, "/nodes", { metadata: { name: "n" } }), "allowed");
});
