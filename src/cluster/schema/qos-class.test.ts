import assert from "node:assert/strict";
import { test } from "node:test";
import { qosClassOf } from "./qos-class.ts";

type List = Record<string, string>;

const container = (requests: List | undefined, limits?: List): object => ({
  name: "main",
  resources: { ...(requests === undefined ? {} : { requests }), ...(limits === undefined ? {} : { limits }) },
});
const classOf = (...containers: object[]): string => qosClassOf({ containers } as Parameters<typeof qosClassOf>[0]);
const both = { cpu: "1", memory: "1Gi" };

test("a pod is Guaranteed if each container limits processor time and memory to what it requests", () => {
  assert.equal(classOf(container(both, both)), "Guaranteed");
  assert.equal(classOf(container(undefined, both)), "Guaranteed", "requests follow limits");
  assert.equal(classOf(container({ cpu: "1000m", memory: "1048576Ki" }, both)), "Guaranteed", "the same amounts");
  assert.equal(classOf(container({ cpu: "1", memory: "1073741824" }, both)), "Guaranteed", "the same amounts");
  assert.equal(classOf(container(both, both), container(both, both)), "Guaranteed");
});

test("a pod is Burstable if a container requests less than it may use, or if only some state resources", () => {
  assert.equal(classOf(container({ cpu: "500m", memory: "1Gi" }, both)), "Burstable");
  assert.equal(classOf(container(both)), "Burstable");
  assert.equal(classOf(container(undefined, { cpu: "1" })), "Burstable");
  assert.equal(classOf(container(both, both), container(undefined)), "Burstable");
  const init = { containers: [container(both, both)], initContainers: [container({ cpu: "1m" })] };
  assert.equal(qosClassOf(init as Parameters<typeof qosClassOf>[0]), "Burstable");
});

test("a pod is BestEffort if nobody requests processor time or memory, and a request of zero is none", () => {
  assert.equal(classOf(container(undefined)), "BestEffort");
  assert.equal(classOf({ name: "main" }), "BestEffort");
  assert.equal(classOf(container({ cpu: "0", memory: "0" }, { cpu: "0" })), "BestEffort");
  assert.equal(classOf(container({ "ephemeral-storage": "1Gi", "example.com/gpu": "1" })), "BestEffort");
  assert.equal(classOf(container({ cpu: "0m", memory: "1Ki" })), "Burstable");
});

test("the resources of a whole pod decide alone, whatever its containers state", () => {
  const podOf = (requests: List, limits: List, ...containers: object[]): string =>
    qosClassOf({ containers, resources: { requests, limits } } as Parameters<typeof qosClassOf>[0]);
  assert.equal(podOf(both, both, container(undefined)), "Guaranteed");
  assert.equal(podOf({ cpu: "500m" }, both, container(both, both)), "Burstable");
  assert.equal(podOf({}, {}, container(both, both)), "BestEffort");
});
