import assert from "node:assert/strict";
import { test } from "node:test";
import { many, suspicion } from "../../../base/testing/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { createSchemaRegistry } from "../registry.ts";
import { object, pod } from "./testing/refuses.ts";

// The usual number of items in a test object. A request's body may have 3 MiB, which is tens of thousands of items.
const usualSize = 10_000;
/**
 * Larger numbers of items, for lists whose items are compared so quickly that fewer items would not show quadratic
 * time.
 */
const sizes: Readonly<Record<string, number>> = {
  "exit codes of a pod failure policy": 60_000,
  "ephemeral containers whose targets are not there": 30_000,
};
const registry = createSchemaRegistry();

interface Write {
  readonly next: UntypedObject;
  readonly old?: UntypedObject;
  readonly subresource?: string;
}

const job = (spec: object): UntypedObject =>
  object("Job", { spec: { template: pod({ restartPolicy: "Never" }), ...spec } });
const ending = (finalizers: readonly string[]): UntypedObject =>
  object("ConfigMap", { metadata: { deletionTimestamp: "2026-06-01T00:00:00Z", finalizers } });

const writes: Readonly<Record<string, (count: number) => Write>> = {
  "exit codes of a pod failure policy": (count) => ({
    next: job({
      podFailurePolicy: {
        rules: [{ action: "FailJob", onExitCodes: { operator: "In", values: many(count, (index) => index + 1) } }],
      },
    }),
  }),
  "ephemeral containers whose targets are not there": (count) => ({
    next: pod({
      containers: many(count, (index) => ({ name: `c${index}`, image: "i" })),
      ephemeralContainers: many(count, (index) => ({ name: `e${index}`, image: "i", targetContainerName: "none" })),
    }),
    subresource: "ephemeralcontainers",
  }),
  "finalizers of an object that is being deleted": (count) => ({
    next: ending(many(count, (index) => `a.b/c${index}`)),
    old: ending(many(count, (index) => `a.b/c${count - index}`)),
  }),
  "mounts of one container": (count) => ({
    next: pod({}, { volumeMounts: many(count, (index) => ({ name: "v", mountPath: `/${index}` })) }),
  }),
  "devices of one container": (count) => ({
    next: pod({}, { volumeDevices: many(count, (index) => ({ name: "v", devicePath: `/${index}` })) }),
  }),
  "topology constraints": (count) => ({
    next: pod({
      topologySpreadConstraints: many(count, (index) => ({
        maxSkew: 1,
        topologyKey: `k${index}`,
        whenUnsatisfiable: "DoNotSchedule",
      })),
    }),
  }),
  "ports of one container": (count) => ({
    next: pod({}, { ports: many(count, (index) => ({ containerPort: 1, name: `p${index}`, protocol: "TCP" })) }),
  }),
  "variables of one container": (count) => ({
    next: pod({}, { env: many(count, (index) => ({ name: `v${index}`, value: "x" })) }),
  }),
  "families of a Service": (count) => ({
    next: object("Service", { spec: { type: "ClusterIP", ipFamilies: many(count, (index) => `f${index}`) } }),
  }),
  "rules of a NetworkPolicy": (count) => ({
    next: object("NetworkPolicy", { spec: { podSelector: {}, ingress: many(count, () => ({ from: [{}] })) } }),
  }),
};

for (const [what, make] of Object.entries(writes)) {
  test(`the API server validates ${what} in linear time`, () => {
    const validate = ({ next, old, subresource }: Write): number => {
      const [group = "", version = ""] =
        next.apiVersion?.includes("/") === true ? next.apiVersion.split("/") : ["", next.apiVersion];
      const type = registry.resourceOfKind(group, version, next.kind ?? "");
      assert.ok(type !== undefined);
      return registry.validate(type, next, old, subresource).length;
    };
    assert.equal(suspicion(validate, make, sizes[what] ?? usualSize), undefined);
  });
}
