import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryStore } from "../store/testing/memory-store.ts";
import { runtimeClasses } from "./runtime-class.ts";
import { admissionRequest, answerOf } from "./testing/admission-request.ts";

const pod = (spec: object): object => ({ metadata: { name: "web" }, spec: { containers: [{ name: "c" }], ...spec } });
const start = '403 pods "web" is forbidden: pod rejected:';

async function pluginWith(fields: object): Promise<ReturnType<typeof runtimeClasses>> {
  const store = await memoryStore({
    "node.k8s.io/runtimeclasses": [{ metadata: { name: "sandboxed" }, handler: "sandboxed", ...fields }],
  });
  return runtimeClasses(store);
}

test("a pod of a RuntimeClass that does not exist is refused, and one without a class has no overhead", async () => {
  const plugin = await pluginWith({});
  const answer = async (spec: object): Promise<string> => await answerOf(plugin, admissionRequest("/pods", pod(spec)));
  assert.equal(await answer({}), "allowed");
  assert.equal(await answer({ runtimeClassName: "sandboxed" }), "allowed");
  assert.equal(await answer({ runtimeClassName: "none" }), `${start} RuntimeClass "none" not found`);
  const undefinedOverhead = `${start} Pod Overhead set without corresponding RuntimeClass defined Overhead`;
  assert.equal(await answer({ overhead: { cpu: "1" } }), undefinedOverhead);
  assert.equal(await answer({ runtimeClassName: "sandboxed", overhead: { cpu: "1" } }), undefinedOverhead);
});

test("a pod gets the overhead, node selector and tolerations of its class, and keeps its own", async () => {
  const toleration = { key: "sandbox", operator: "Exists" };
  const plugin = await pluginWith({
    overhead: { podFixed: { cpu: "250m" } },
    scheduling: { nodeSelector: { sandbox: "yes" }, tolerations: [toleration] },
  });
  const own = { key: "own", operator: "Exists" };
  const request = admissionRequest(
    "/pods",
    pod({ runtimeClassName: "sandboxed", nodeSelector: { disk: "ssd" }, tolerations: [own] }),
  );
  assert.equal(await answerOf(plugin, request), "allowed");
  const spec = request.object?.["spec"] as Record<string, unknown>;
  assert.deepEqual(spec["overhead"], { cpu: "250m" });
  assert.deepEqual(spec["nodeSelector"], { disk: "ssd", sandbox: "yes" });
  assert.deepEqual(spec["tolerations"], [own, toleration]);
});

test("a pod cannot contradict its class", async () => {
  const plugin = await pluginWith({
    overhead: { podFixed: { cpu: "250m" } },
    scheduling: { nodeSelector: { sandbox: "yes" } },
  });
  const answer = async (spec: object): Promise<string> =>
    await answerOf(plugin, admissionRequest("/pods", pod({ runtimeClassName: "sandboxed", ...spec })));
  assert.equal(
    await answer({ overhead: { cpu: "1" } }),
    `${start} Pod's Overhead doesn't match RuntimeClass's defined Overhead`,
  );
  assert.match(await answer({ nodeSelector: { sandbox: "no" } }), /conflict: runtimeClass.scheduling.nodeSelector/);
  assert.equal(await answer({ overhead: { cpu: "250m" }, nodeSelector: { sandbox: "yes" } }), "allowed");
});
