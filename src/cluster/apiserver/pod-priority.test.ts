import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { ServerHarness, type Answer, type Json } from "./testing/server-harness.ts";

let server: ServerHarness;
before(async () => {
  server = await new ServerHarness().start();
  await server.call("POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: "default" } });
});
after(() => server.remove());

const classes = "/apis/scheduling.k8s.io/v1/priorityclasses";

async function makeClass(name: string, fields: Json): Promise<Answer> {
  return await server.call("POST", classes, { metadata: { name }, ...fields });
}

async function makePod(name: string, spec: Json): Promise<Json> {
  const containers = [{ name: "main", image: "x" }];
  const pods = "/api/v1/namespaces/default/pods";
  return (await server.call("POST", pods, { metadata: { name }, spec: { containers, ...spec } })).body;
}

test("a pod has the priority of its class, and may repeat but not change it", async () => {
  await makeClass("high", { value: 1000, preemptionPolicy: "Never" });
  const { spec } = await makePod("a", { priorityClassName: "high" });
  assert.deepEqual([spec.priority, spec.preemptionPolicy], [1000, "Never"]);
  assert.equal((await makePod("b", { priorityClassName: "high", priority: 1000 })).spec.priority, 1000);
  const refusals: [Json, RegExp][] = [
    [
      { priorityClassName: "high", priority: 5 },
      /^pods "c" is forbidden: the integer value of priority \(5\) must not /,
    ],
    [{ priority: 5 }, /admission controller computed 0 from the given PriorityClass name$/],
    [{ priorityClassName: "high", preemptionPolicy: "PreemptLowerPriority" }, /the string value of PreemptionPolicy/],
    [{ priorityClassName: "none" }, /no PriorityClass with name none was found$/],
    [{ priorityClassName: "constructor" }, /no PriorityClass with name constructor was found$/],
  ];
  for (const [fields, message] of refusals) {
    const refused = await makePod("c", fields);
    assert.deepEqual([refused.code, refused.details], [403, { name: "c", kind: "pods" }]);
    assert.match(refused.message, message);
  }
});

test("one class can be the default, by which pods without a class get their priority", async () => {
  await makeClass("usual", { value: 10, globalDefault: true });
  const { spec } = await makePod("usual", {});
  assert.deepEqual([spec.priority, spec.priorityClassName], [10, "usual"]);
  const second = await makeClass("second", { value: 5, globalDefault: true });
  assert.equal(second.status, 403);
  assert.match(second.body.message, /PriorityClass usual is already marked as default. Only one default can exist$/);
  const merge = { contentType: "application/merge-patch+json" };
  assert.equal((await server.call("PATCH", `${classes}/usual`, { description: "x" }, merge)).status, 200);
  await server.call("DELETE", `${classes}/usual`);
});

test("the cluster has the classes of system pods, and nobody can make others with their prefix or above their values", async () => {
  const { items } = (await server.call("GET", classes)).body;
  const values = Object.fromEntries(items.map((one: Json) => [one.metadata.name, one.value]));
  assert.equal(values["system-node-critical"], 2_000_001_000);
  assert.equal(values["system-cluster-critical"], 2_000_000_000);
  assert.equal((await makePod("system", { priorityClassName: "system-node-critical" })).spec.priority, 2_000_001_000);
  const own = await makeClass("system-mine", { value: 1 });
  assert.match(
    own.body.message,
    /reserved for system use only. error: system-mine is not a known system priority class$/,
  );
  const high = await makeClass("too-high", { value: 1_000_000_001 });
  assert.match(high.body.message, /value: Forbidden: maximum allowed value of a user defined priority is 1000000000$/);
});

test("the value of a class cannot be changed", async () => {
  await makeClass("fixed", { value: 1 });
  const merge = { contentType: "application/merge-patch+json" };
  const changed = await server.call("PATCH", `${classes}/fixed`, { value: 2 }, merge);
  assert.equal(changed.status, 422);
  assert.match(changed.body.message, /value: Forbidden: may not be changed in an update.$/);
});

test("the classes of system pods cannot be deleted, because only a start of the server would bring them back", async () => {
  const refused = await server.call("DELETE", `${classes}/system-node-critical`);
  assert.equal(refused.status, 403);
  assert.match(refused.body.message, /this is a system priority class and cannot be deleted$/);
  await makeClass("gone", { value: 1 });
  assert.equal((await server.call("DELETE", `${classes}/gone`)).status, 200);
  await server.call("DELETE", classes);
  assert.equal((await server.call("GET", `${classes}/system-cluster-critical`)).status, 200);
});
