import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonEqualWithoutNulls } from "../../base/index.ts";
import { HandClock } from "../../base/testing/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { covers, fieldPatch, ObjectAccess, valueAt } from "./object-access.ts";
import { Previews } from "./previews.ts";

const object = {
  metadata: { name: "a", resourceVersion: "7", labels: { "istio.io/rev": "old" } },
  spec: { rules: [{ backendRefs: [{ name: "a", weight: 1 }] }] },
};

test("a written field is recognized despite the server's defaults", () => {
  assert.ok(covers({ name: "a", group: "", weight: 1 }, { name: "a" }));
  assert.ok(covers([{ name: "a", kind: "Service" }], [{ name: "a" }]));
  assert.ok(!covers([{ name: "a" }, { name: "b" }], [{ name: "a" }]), "a longer list is another list");
  assert.ok(!covers("old", undefined), "a field to be removed is there");
});

test("a field is set only if it still has the expected value", () => {
  assert.deepEqual(fieldPatch(object, "/metadata/labels/istio.io~1rev", "new", "old"), [
    { op: "test", path: "/metadata/labels/istio.io~1rev", value: "old" },
    { op: "add", path: "/metadata/labels/istio.io~1rev", value: "new" },
  ]);
});

test("a field that was absent is guarded by the object's version, and missing parents are created", () => {
  assert.deepEqual(fieldPatch(object, "/metadata/annotations/a", "1", undefined), [
    { op: "test", path: "/metadata/resourceVersion", value: "7" },
    { op: "add", path: "/metadata/annotations", value: {} },
    { op: "add", path: "/metadata/annotations/a", value: "1" },
  ]);
});

test("a field that already has its value is not written again", () => {
  assert.deepEqual(fieldPatch(object, "/metadata/labels/istio.io~1rev", "old", undefined), []);
  assert.deepEqual(fieldPatch(object, "/metadata/labels/absent", undefined, "x"), []);
});

test("a parent made for a field is removed with it only if it contains nothing else by then", () => {
  const annotated = { metadata: { ...object.metadata, annotations: { a: "1" } } };
  assert.deepEqual(fieldPatch(annotated, "/metadata/annotations/a", undefined, "1", 1), [
    { op: "test", path: "/metadata/annotations/a", value: "1" },
    { op: "test", path: "/metadata/annotations", value: { a: "1" } },
    { op: "remove", path: "/metadata/annotations" },
  ]);
});

test("a field that somebody has set since it was seen absent keeps its value", async () => {
  const route = { apiVersion: "v1", kind: "Route", plural: "routes", name: "a", namespace: "n" };
  const patches: unknown[] = [];
  const objects = new ObjectAccess({
    get: async () => await Promise.resolve(structuredClone(object)),
    raw: async (_verb: string, _path: string, { body }: { body: unknown }) => {
      patches.push(body);
      return await Promise.resolve({ status: 200, text: JSON.stringify(object) });
    },
  } as unknown as KubeClient);
  const pointer = "/metadata/labels/istio.io~1rev";
  await assert.rejects(objects.setField(route, pointer, "new", undefined), {
    code: "patch-refused",
    message:
      'change of /metadata/labels/istio.io~1rev in Route n/a: expected no value, found "old", which somebody has set meanwhile',
  });
  assert.deepEqual(patches, []);
  assert.equal(await objects.setField(route, pointer, "old", undefined), "old", "it was written before");
});

test("equality ignores the order of keys and treats null as absent", () => {
  assert.ok(jsonEqualWithoutNulls({ a: 1, b: [1, { c: null }] }, { b: [1, {}], a: 1 }));
  assert.ok(!jsonEqualWithoutNulls([1, 2], [2, 1]));
});

test("a deletion is for the object that was read, and a forced one does not wait for the pod's node", async () => {
  const given: unknown[] = [];
  const client = { delete: async (...[, , , options]: unknown[]) => void given.push(options) };
  const objects = new ObjectAccess(client as unknown as KubeClient);
  const pod = { apiVersion: "v1", kind: "Pod", plural: "pods", name: "probe", namespace: "serin-probes" };
  await objects.delete(pod, undefined);
  await objects.delete(pod, "u", true);
  const propagationPolicy = "Background";
  assert.deepEqual(given, [
    { propagationPolicy },
    { propagationPolicy, preconditions: { uid: "u" }, gracePeriodSeconds: 0 },
  ]);
});

test("the claim to a field is given up once the object stays as it was read, and others' writes do not hold up the undo", async () => {
  const claim = { manager: "serin-rollout", operation: "Update", fieldsV1: { "f:spec": { "f:rules": {} } } };
  const theirs = { manager: "istiod", operation: "Update", fieldsV1: { "f:spec": { "f:status": {} } } };
  const route = { apiVersion: "v1", kind: "Route", plural: "routes", name: "a", namespace: "n" };
  const patchesWith = async (refused: number): Promise<readonly unknown[]> => {
    const patches: unknown[] = [];
    const client = {
      get: async () =>
        await Promise.resolve({ ...object, metadata: { ...object.metadata, managedFields: [claim, theirs] } }),
      raw: async (_verb: string, _path: string, { body }: { body: unknown }) => {
        patches.push(body);
        return await Promise.resolve({ status: patches.length > refused ? 200 : 422, text: "" });
      },
    };
    await new ObjectAccess(client as unknown as KubeClient).release(route, "/spec/rules");
    return patches;
  };
  const left = [
    { op: "test", path: "/metadata/resourceVersion", value: "7" },
    { op: "add", path: "/metadata/managedFields", value: [theirs] },
  ];
  assert.deepEqual(await patchesWith(0), [left]);
  assert.deepEqual(await patchesWith(1), [left, left]);
  assert.equal((await patchesWith(9)).length, 3);
});

test("a webhook that changes a Deployment's template at each write is noticed, and one that changes it once is not", async () => {
  const web = { apiVersion: "apps/v1", kind: "Deployment", plural: "deployments", name: "web", namespace: "shop" };
  let stored = { metadata: { name: "web", resourceVersion: "1" }, spec: { template: { stamp: 0 }, paused: false } };
  let nextStamp = 1;
  const objects = new ObjectAccess({
    get: async () => await Promise.resolve(structuredClone(stored)),
    raw: async (_verb: string, _path: string, { body }: { body: { path: string; value: never }[] }) => {
      const { path, value } = body.at(-1) ?? { path: "", value: undefined };
      const [, , field = "", part] = path.split("/");
      const spec = part === undefined ? { ...stored.spec, [field]: value } : stored.spec;
      stored = { ...stored, spec: { ...spec, template: { stamp: nextStamp } } };
      return await Promise.resolve({ status: 200, text: JSON.stringify(stored) });
    },
  } as unknown as KubeClient);
  const write = async (pointer: string, value: unknown): Promise<unknown> =>
    await objects.setField(web, pointer, value, valueAt(stored, pointer));
  await write("/spec/paused", true);
  assert.equal(objects.rewrittenTemplate(web), undefined, "it may add the same to each template");
  await write("/spec/paused", false);
  assert.equal(objects.rewrittenTemplate(web), undefined);
  for (nextStamp = 2; nextStamp < 4; nextStamp += 1) await write("/spec/paused", nextStamp === 2);
  assert.deepEqual(objects.rewrittenTemplate(web), { stamp: 3 });
  nextStamp = 5;
  assert.deepEqual(await write("/spec/template", { stamp: 4 }), { stamp: 5 }, "the server's answer");
  assert.deepEqual(objects.rewrittenTemplate(web), { stamp: 5 });
  nextStamp = 6;
  await write("/spec/template/stamp", 6);
  assert.deepEqual(objects.rewrittenTemplate(web), { stamp: 5 }, "a restart changes the template itself");
  nextStamp = 7;
  await write("/spec/template", { stamp: 7 });
  assert.equal(objects.rewrittenTemplate(web), undefined, "the webhook leaves the engine's writes alone now");
});

test("the server says by a dry run what it would store, once for each content of the object and value", async () => {
  const route = { apiVersion: "v1", kind: "Route", plural: "routes", name: "a", namespace: "n" };
  let [version, labels] = ["7", {}];
  const paths: string[] = [];
  const objects = new ObjectAccess({
    get: async () =>
      await Promise.resolve({
        ...object,
        metadata: { ...object.metadata, resourceVersion: version, labels },
        status: { updatedReplicas: Number(version) },
      }),
    raw: async (_verb: string, path: string) => {
      paths.push(path);
      const text = JSON.stringify({ ...object, spec: { rules: ["of a webhook"] } });
      return await Promise.resolve({ status: 200, text });
    },
  } as unknown as KubeClient);
  const preview = async (rules: unknown) => await objects.preview(route, "/spec/rules", rules);
  assert.deepEqual([await preview([1]), await preview([1])], [["of a webhook"], ["of a webhook"]]);
  assert.deepEqual(paths.splice(0), ["/api/v1/namespaces/n/routes/a?fieldManager=serin-rollout&dryRun=All"]);
  version = "8";
  await preview([1]);
  assert.deepEqual(paths, [], "only its status has changed");
  await preview([2]);
  labels = { injected: "no" };
  await preview([1]);
  assert.equal(paths.splice(0).length, 2);
  assert.deepEqual(await preview(object.spec.rules), object.spec.rules, "it has the value");
  assert.deepEqual(paths, []);
});

test("a server that refuses a dry run is asked again after a minute, and one with a passing fault at once", async () => {
  const route = { apiVersion: "v1", kind: "Route", plural: "routes", name: "a", namespace: "n" };
  const clock = new HandClock();
  let [version, status, patches] = ["7", 400, 0];
  let isChanging = false;
  const objects = new ObjectAccess(
    {
      get: async () => await Promise.resolve({ ...object, metadata: { ...object.metadata, resourceVersion: version } }),
      raw: async () => {
        patches += 1;
        if (isChanging) version = String(Number(version) + 1);
        return await Promise.resolve({ status, text: status < 300 ? JSON.stringify(object) : "" });
      },
    } as unknown as KubeClient,
    clock,
  );
  const preview = async (rules: unknown) => await objects.preview(route, "/spec/rules", rules);
  assert.deepEqual(
    [await preview([1]), await preview([1]), patches],
    [undefined, undefined, 1],
    "no support of dry runs",
  );
  clock.pass(30_000);
  assert.deepEqual([await preview([1]), patches], [undefined, 1]);
  clock.pass(30_000);
  status = 200;
  assert.deepEqual([await preview([1]), patches], [object.spec.rules, 2]);
  for (status of [409, 429, 500, 504]) await assert.rejects(preview([status]), { code: "patch-refused" });
  assert.equal(patches, 6);
  status = 200;
  assert.deepEqual(await preview([500]), object.spec.rules);
  [status, isChanging] = [422, true];
  await assert.rejects(preview([2]), { code: "patch-refused" }, "somebody has changed the object meanwhile");
});

test("the answers to dry runs of many lists are kept, up to a limit of their size", async () => {
  const large = "x".repeat(1 << 20);
  let [patches, stored] = [0, ""];
  const objects = new ObjectAccess({
    get: async () => await Promise.resolve(object),
    raw: async () => {
      patches += 1;
      return await Promise.resolve({ status: 200, text: JSON.stringify({ ...object, spec: { rules: stored } }) });
    },
  } as unknown as KubeClient);
  const previewAll = async (count: number): Promise<number> => {
    const before = patches;
    for (let index = 0; index < count; index += 1) {
      const route = { apiVersion: "v1", kind: "Route", plural: "routes", name: `a-${index}`, namespace: "n" };
      assert.equal(await objects.preview(route, "/spec/rules", [index]), stored);
    }
    return patches - before;
  };
  assert.deepEqual([await previewAll(200), await previewAll(200)], [200, 0]);
  const many = new Previews(new HandClock());
  stored = large;
  for (let index = 0; index < 40; index += 1) many.set(String(index), { stored, isRefusal: false });
  const kept = Array.from({ length: 40 }, (_, index) => many.get(String(index))).filter((one) => one !== undefined);
  assert.deepEqual([kept.length, many.get("39")?.stored === large, many.get("0")], [15, true, undefined]);
});
