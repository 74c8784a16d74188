import assert from "node:assert/strict";
import { test } from "node:test";
import { createSchemaRegistry } from "../registry.ts";
import { imageTag } from "./core.ts";

const registry = createSchemaRegistry();

function specOf(kind: string, spec: object): Record<string, unknown> {
  const type = registry.resourceOfKind("", "v1", kind);
  assert.ok(type !== undefined);
  const object = { apiVersion: "v1", kind, metadata: { name: "x" }, spec: structuredClone(spec) };
  registry.applyDefaults(type, object);
  return object.spec as Record<string, unknown>;
}

const containers = (resources: object): object[] => [{ name: "c", image: "i", resources }];
const firstOf = (spec: Record<string, unknown>): { resources: unknown; imagePullPolicy: string } =>
  (spec["containers"] as { resources: unknown; imagePullPolicy: string }[])[0] ?? {
    resources: {},
    imagePullPolicy: "",
  };

test("requests follow limits, one resource at a time, in pods but not in templates", () => {
  const limits = { cpu: "1", memory: "1Gi" };
  const spec = specOf("Pod", { containers: containers({ limits, requests: { cpu: "100m" } }) });
  assert.deepEqual(firstOf(spec).resources, { limits, requests: { cpu: "100m", memory: "1Gi" } });
  const template = { spec: { containers: containers({ limits }) } };
  const controller = specOf("ReplicationController", { template });
  assert.deepEqual(firstOf((controller["template"] as typeof template).spec as never).resources, { limits });
});

test("the requests of a whole pod follow those of its containers, and else its limits", () => {
  const wholeOf = (resources: object, ...own: object[]): unknown =>
    specOf("Pod", {
      resources,
      containers: own.map((one, index) => ({ name: `c${index}`, image: "i", resources: one })),
    })["resources"];
  const limits = { cpu: "2", memory: "1Gi" };
  assert.deepEqual(wholeOf({ limits }, {}), { limits, requests: limits });
  assert.deepEqual(wholeOf({ limits }, { requests: { cpu: "250m" } }, { requests: { cpu: "250m" } }), {
    limits,
    requests: { cpu: "500m", memory: "1Gi" },
  });
  assert.deepEqual(wholeOf({ limits, requests: { cpu: "1" } }, { requests: { cpu: "250m" } }), {
    limits,
    requests: { cpu: "1", memory: "1Gi" },
  });
  const onlyRequests = { requests: { cpu: "1" } };
  assert.deepEqual(wholeOf(onlyRequests, { requests: { memory: "1Gi" } }), onlyRequests);
});

test("amounts finer than a thousandth are rounded up", () => {
  const spec = specOf("Pod", {
    containers: containers({ requests: { cpu: "100u", memory: "1n" }, limits: { cpu: "1.5m" } }),
  });
  assert.deepEqual(firstOf(spec).resources, { requests: { cpu: "1m", memory: "1m" }, limits: { cpu: "2m" } });
  const quota = specOf("ResourceQuota", { hard: { cpu: "0.0001", memory: "1Gi" } });
  assert.deepEqual(quota["hard"], { cpu: "1m", memory: "1Gi" });
});

test("an image without a tag or with the tag latest is always pulled, and one with a digest or another tag once", () => {
  for (const [image, tag, policy] of [
    ["nginx", "latest", "Always"],
    ["nginx:latest", "latest", "Always"],
    ["nginx:1", "1", "IfNotPresent"],
    ["host:5000/nginx", "latest", "Always"],
    ["host:5000/nginx:1", "1", "IfNotPresent"],
    ["nginx@sha256:abc", "", "IfNotPresent"],
    ["nginx:latest@sha256:abc", "", "IfNotPresent"],
  ] as const) {
    assert.equal(imageTag(image), tag, image);
    assert.equal(firstOf(specOf("Pod", { containers: [{ name: "c", image }] })).imagePullPolicy, policy, image);
  }
});

test("a limit of containers is their default, and a default limit the default request", () => {
  const item = (fields: object): unknown =>
    (specOf("LimitRange", { limits: [{ type: "Container", ...fields }] })["limits"] as unknown[])[0];
  assert.deepEqual(item({ max: { cpu: "2" } }), {
    type: "Container",
    max: { cpu: "2" },
    default: { cpu: "2" },
    defaultRequest: { cpu: "2" },
  });
  assert.deepEqual(item({ min: { cpu: "1" }, default: { memory: "1Gi" } }), {
    type: "Container",
    min: { cpu: "1" },
    default: { memory: "1Gi" },
    defaultRequest: { cpu: "1", memory: "1Gi" },
  });
  const ofPod = { type: "Pod", max: { cpu: "2" } };
  assert.deepEqual(specOf("LimitRange", { limits: [ofPod] })["limits"], [ofPod]);
});

test("a Service's defaults depend on its type", () => {
  const fields = (spec: object): unknown[] => {
    const { type, externalTrafficPolicy, internalTrafficPolicy, allocateLoadBalancerNodePorts } = specOf(
      "Service",
      spec,
    );
    return [type, externalTrafficPolicy, internalTrafficPolicy, allocateLoadBalancerNodePorts];
  };
  for (const [spec, expected] of [
    [{}, ["ClusterIP", undefined, "Cluster", undefined]],
    [{ externalIPs: ["1.2.3.4"] }, ["ClusterIP", "Cluster", "Cluster", undefined]],
    [{ type: "NodePort" }, ["NodePort", "Cluster", "Cluster", undefined]],
    [{ type: "LoadBalancer" }, ["LoadBalancer", "Cluster", "Cluster", true]],
    [{ type: "ExternalName" }, ["ExternalName", undefined, undefined, undefined]],
  ] as const)
    assert.deepEqual(fields(spec), expected);
});
