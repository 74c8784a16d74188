import assert from "node:assert/strict";
import { test } from "node:test";
import { podAmounts, podAmountsWithOverhead, type Amounts } from "./pod-amounts.ts";
import { quantityText } from "./quantity.ts";

type List = Record<string, string>;

const texts = (amounts: Amounts): List =>
  Object.fromEntries([...amounts].map(([name, amount]) => [name, quantityText(amount)]));
const container = (requests: List, more: object = {}): object => ({ name: "x", resources: { requests }, ...more });
const sidecar = (requests: List): object => container(requests, { restartPolicy: "Always" });
const requestsOf = (spec: object): List => texts(podAmounts(spec, "requests"));

test("a pod needs the sum of its containers, by resource", () => {
  const containers = [container({ cpu: "250m", memory: "1Gi" }), container({ cpu: "1", "example.com/gpu": "2" })];
  assert.deepEqual(requestsOf({ containers }), { cpu: "1250m", memory: "1Gi", "example.com/gpu": "2" });
  assert.deepEqual(requestsOf({}), {});
});

test("an init container runs alone with the sidecars that started before it, so only the largest counts", () => {
  for (const [initContainers, cpu] of [
    [[container({ cpu: "3" })], "3"],
    [[container({ cpu: "3" }), container({ cpu: "4" })], "4"],
    [[container({ cpu: "1" })], "2"],
    [[sidecar({ cpu: "1" })], "3"],
    [[sidecar({ cpu: "1" }), container({ cpu: "3" })], "4"],
    [[container({ cpu: "3" }), sidecar({ cpu: "1" })], "3"],
    [[sidecar({ cpu: "1" }), container({ cpu: "4" }), sidecar({ cpu: "2" })], "5"],
  ] as const)
    assert.equal(requestsOf({ containers: [container({ cpu: "2" })], initContainers })["cpu"], cpu);
});

test("a resource that the pod requests as a whole replaces the sum of its containers, and other resources keep their sum", () => {
  const containers = [container({ cpu: "1", memory: "1Gi", "example.com/gpu": "1" })];
  const resources = { requests: { cpu: "3", "example.com/gpu": "9" } };
  assert.deepEqual(requestsOf({ containers, resources }), { cpu: "3", memory: "1Gi", "example.com/gpu": "1" });
});

test("overhead comes on top of requests, and of a limit only where there is one", () => {
  const spec = {
    containers: [{ name: "x", resources: { requests: { cpu: "1" }, limits: { memory: "1Gi" } } }],
    overhead: { cpu: "250m", memory: "64Mi" },
  };
  assert.deepEqual(texts(podAmountsWithOverhead(spec, "requests")), { cpu: "1250m", memory: "64Mi" });
  assert.deepEqual(texts(podAmountsWithOverhead(spec, "limits")), { memory: "1088Mi" });
});
