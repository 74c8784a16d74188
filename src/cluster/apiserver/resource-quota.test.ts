import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

const server = new ServerHarness();
const merge = { contentType: "application/merge-patch+json" };
before(async () => void (await server.start()));
after(async () => await server.remove());

/** Makes a namespace with one quota. Returns a function that creates objects there. */
async function newNamespace(
  name: string,
  spec: Json,
): Promise<(plural: string, object: Json, group?: string) => Promise<Answer>> {
  await server.call("POST", "/api/v1/namespaces", { metadata: { name } });
  await server.call("POST", `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  const made = await server.call("POST", `/api/v1/namespaces/${name}/resourcequotas`, {
    metadata: { name: "quota" },
    spec,
  });
  assert.deepEqual([made.status, made.headers["warning"]], [201, undefined], made.text);
  return async (plural, object, group = "/api/v1") =>
    await server.call("POST", `${group}/namespaces/${name}/${plural}`, object);
}

const pod = (name: string, resources: Json = {}, spec: Json = {}): Json => ({
  metadata: { name },
  spec: { containers: [{ name: "main", image: "x", resources }], ...spec },
});

function refusal({ status, body }: Answer): [number, string] {
  return [status, body.message];
}

/**
 * Waits until the status of the quota shows the expected use. The server writes the status shortly after the objects.
 */
async function usedOf(namespace: string, expected: Json): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/resourcequotas/quota`;
  let used: Json;
  for (let tries = 0; tries < 100; tries += 1) {
    const { spec, status } = (await server.call("GET", path)).body;
    used = status.used;
    try {
      assert.deepEqual([used, status.hard], [expected, spec.hard]);
      return;
    } catch {
      await sleep(50);
    }
  }
  assert.deepEqual(used, expected);
}

test("pods beyond the quota are refused, even many at once, and an ended pod frees its share", async () => {
  const create = await newNamespace("counted", { hard: { pods: "2", "count/pods": "3" } });
  const many = await Promise.all(["a", "b", "c", "d", "e"].map(async (name) => await create("pods", pod(name))));
  assert.deepEqual(
    many.map(({ status }) => status).toSorted((a, b) => a - b),
    [201, 201, 403, 403, 403],
  );
  const why = 'pods "f" is forbidden: exceeded quota: quota, requested: pods=1, used: pods=2, limited: pods=2';
  assert.deepEqual(refusal(await create("pods", pod("f"))), [403, why]);
  await usedOf("counted", { pods: "2", "count/pods": "2" });
  const first = many.find(({ status }) => status === 201)?.body.metadata.name;
  const path = `/api/v1/namespaces/counted/pods/${first}`;
  await server.call("PATCH", `${path}/status`, { status: { phase: "Succeeded" } }, merge);
  await usedOf("counted", { pods: "1", "count/pods": "2" });
  assert.equal((await create("pods", pod("f"))).status, 201);
  const full =
    'pods "g" is forbidden: exceeded quota: quota, requested: count/pods=1,pods=1, used: count/pods=3,pods=2, limited: count/pods=3,pods=2';
  assert.deepEqual(refusal(await create("pods", pod("g"))), [403, full]);
  await server.call("DELETE", `${path}?gracePeriodSeconds=0`);
  await usedOf("counted", { pods: "2", "count/pods": "2" });
});

test("a quota of processor time and memory counts requests and limits, and needs each container to state them", async () => {
  const hard = { cpu: "1", "requests.memory": "1Gi", "limits.cpu": "2" };
  const create = await newNamespace("computed", { hard });
  assert.deepEqual(refusal(await create("pods", pod("bare", { requests: { memory: "1Gi" } }))), [
    403,
    'pods "bare" is forbidden: failed quota: quota: must specify cpu for: main; limits.cpu for: main',
  ]);
  const resources = { requests: { cpu: "600m", memory: "256Mi" }, limits: { cpu: "600m" } };
  assert.equal((await create("pods", pod("one", resources))).status, 201);
  assert.deepEqual(refusal(await create("pods", pod("two", resources))), [
    403,
    'pods "two" is forbidden: exceeded quota: quota, requested: cpu=600m, used: cpu=600m, limited: cpu=1',
  ]);
  await usedOf("computed", { cpu: "600m", "requests.memory": "256Mi", "limits.cpu": "600m" });
});

test("objects of any kind are counted, and an update that would exceed a quota is refused too", async () => {
  const hard = {
    configmaps: "1",
    "count/deployments.apps": "0",
    "services.nodeports": "1",
    "requests.storage": "1Gi",
    "fast.storageclass.storage.k8s.io/persistentvolumeclaims": "0",
  };
  const create = await newNamespace("objects", { hard });
  assert.equal((await create("configmaps", { metadata: { name: "a" } })).status, 201);
  assert.match(
    (await create("configmaps", { metadata: { name: "b" } })).body.message,
    /configmaps=1, used: configmaps=1/,
  );
  const template = { metadata: { labels: { a: "b" } }, spec: pod("x").spec };
  const deployment = { metadata: { name: "web" }, spec: { selector: { matchLabels: { a: "b" } }, template } };
  assert.match(
    (await create("deployments", deployment, "/apis/apps/v1")).body.message,
    /^deployments.apps "web" is forbidden: exceeded quota: quota, requested: count\/deployments.apps=1, used: count\/deployments.apps=0/,
  );
  const ports = [{ name: "a", port: 80 }];
  const service = { metadata: { name: "web" }, spec: { type: "NodePort", ports } };
  assert.equal((await create("services", service)).status, 201);
  const more = await server.call(
    "PATCH",
    "/api/v1/namespaces/objects/services/web",
    { spec: { ports: [...ports, { name: "b", port: 81 }] } },
    merge,
  );
  assert.match(more.body.message, /requested: services.nodeports=1, used: services.nodeports=1/);
  const claim = (storage: string, storageClassName = "slow"): Json => ({
    metadata: { name: "data" },
    spec: { accessModes: ["ReadWriteOnce"], storageClassName, resources: { requests: { storage } } },
  });
  assert.match(
    (await create("persistentvolumeclaims", claim("2Gi"))).body.message,
    /requests.storage=2Gi, used: requests.storage=0/,
  );
  assert.match(
    (await create("persistentvolumeclaims", claim("1Gi", "fast"))).body.message,
    /requested: fast.storageclass/,
  );
  assert.equal((await create("persistentvolumeclaims", claim("1Gi"))).status, 201);
});

test("a quota with scopes counts only the pods in them", async () => {
  const create = await newNamespace("scoped", { hard: { pods: "0" }, scopes: ["BestEffort", "NotTerminating"] });
  assert.equal((await create("pods", pod("plain"))).status, 403);
  assert.equal((await create("pods", pod("limited", { limits: { cpu: "1" } }))).status, 201);
  assert.equal((await create("pods", pod("short", {}, { activeDeadlineSeconds: 60 }))).status, 201);
  const expression = { scopeName: "PriorityClass", operator: "In", values: ["system-node-critical"] };
  const important = await newNamespace("important", {
    hard: { pods: "0" },
    scopeSelector: { matchExpressions: [expression] },
  });
  assert.equal((await important("pods", pod("plain"))).status, 201);
  const critical = pod("critical", {}, { priorityClassName: "system-node-critical" });
  assert.match((await important("pods", critical)).body.message, /exceeded quota: quota/);
});

test("a dry run is refused too, and a restarted server counts the existing objects", async () => {
  const create = await newNamespace("lasting", { hard: { secrets: "1" } });
  assert.equal((await create("secrets", { metadata: { name: "one" } })).status, 201);
  await server.stop();
  await server.start();
  assert.equal((await create("secrets?dryRun=All", { metadata: { name: "two" } })).status, 403);
  await usedOf("lasting", { secrets: "1" });
});

test("an invalid quota is refused, and the message names the field", async () => {
  const { body } = await server.call("POST", "/api/v1/namespaces/default/resourcequotas", {
    metadata: { name: "wrong" },
    spec: {
      hard: { gold: "1", pods: "1500m", cpu: "-1" },
      scopes: ["BestEffort", "NotBestEffort", "Often"],
      scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In" }] },
    },
  });
  const faults = body.details.causes.map(({ field, message }: Json) => `${field}: ${message}`).join("\n");
  for (const expected of [
    /^spec.hard\[gold\]: Invalid value: "gold": must be a standard resource for quota$/m,
    /^spec.hard\[pods\]: Invalid value: "1500m": must be an integer$/m,
    /^spec.hard\[cpu\]: Invalid value: "-1": must be greater than or equal to 0$/m,
    /^spec.hard\[cpu\]: Invalid value: "cpu": unsupported scope applied to resource/m,
    /^spec.scopes\[2\]: Unsupported value: "Often"/m,
    /^spec.scopes: Invalid value: .*: conflicting scopes$/m,
    /^spec.scopeSelector.matchExpressions\[0\].values: Required value/m,
  ])
    assert.match(faults, expected);
});
