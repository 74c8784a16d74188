import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { UntypedObject } from "../../../api/index.ts";
import { SchemaFault, type ResourceType, type WriteOrigin } from "../contract.ts";
import { createSchemaRegistry } from "../registry.ts";

const registry = createSchemaRegistry();
const deployments = typeOf("apps", "v1", "deployments");
const runs = { numRuns: 100 };

function typeOf(group: string, version: string, plural: string): ResourceType {
  const type = registry.resource(group, version, plural);
  assert.ok(type !== undefined);
  return type;
}

function origin(manager: string, second = 0, subresource = ""): WriteOrigin {
  return { manager, subresource, time: `2026-01-01T00:00:${String(second).padStart(2, "0")}Z` };
}

function deployment(spec: Record<string, unknown>, metadata: Record<string, unknown> = {}): UntypedObject {
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", namespace: "default", ...metadata },
    spec,
  };
}

function apply(
  live: UntypedObject | undefined,
  applied: UntypedObject,
  who: WriteOrigin,
  force = false,
  type = deployments,
): UntypedObject {
  return registry.serverSideApply({ type, live, applied, origin: who, force });
}

function containers(...names: string[]): Record<string, unknown> {
  return { template: { spec: { containers: names.map((name) => ({ name, image: `image-of-${name}` })) } } };
}

function namesIn(object: UntypedObject): unknown[] {
  const spec = object.spec as { template: { spec: { containers: { name: string }[] } } };
  return spec.template.spec.containers.map(({ name }) => name);
}

const container = fc.record(
  {
    name: fc.constantFrom("a", "b", "c"),
    image: fc.constantFrom("x", "y"),
    args: fc.array(fc.constantFrom("1", "2"), { maxLength: 2 }),
  },
  { requiredKeys: ["name"] },
);
const configuration = fc
  .record(
    {
      replicas: fc.integer({ min: 0, max: 3 }),
      paused: fc.boolean(),
      list: fc.uniqueArray(container, { selector: ({ name }) => name, minLength: 1, maxLength: 3 }),
    },
    { requiredKeys: ["list"] },
  )
  .map(({ list, ...rest }) => deployment({ ...rest, template: { spec: { containers: list } } }));

test("applying the same configuration again changes nothing, not even a time", () => {
  fc.assert(
    fc.property(configuration, (applied) => {
      const once = apply(undefined, applied, origin("a"));
      assert.deepEqual(apply(once, applied, origin("a", 9)), once);
    }),
    runs,
  );
});

test("two appliers with equal configurations share ownership without conflict, and a field that one drops stays", () => {
  fc.assert(
    fc.property(configuration, (applied) => {
      const shared = apply(apply(undefined, applied, origin("a")), applied, origin("b", 1));
      assert.deepEqual(shared.spec, apply(undefined, applied, origin("a")).spec);
      const dropped = apply(shared, deployment({}), origin("a", 2));
      assert.deepEqual(dropped.spec, shared.spec);
    }),
    runs,
  );
});

test("a forced apply always wins, and the loser no longer owns the lost fields", () => {
  fc.assert(
    fc.property(configuration, configuration, (first, second) => {
      const won = apply(apply(undefined, first, origin("a")), second, origin("b", 1), true);
      assert.deepEqual(apply(won, second, origin("b", 2)).spec, won.spec);
    }),
    runs,
  );
});

test("a conflict names manager and field in the real server's words", () => {
  const live = apply(undefined, deployment({ replicas: 1 }), origin("a"));
  try {
    apply(live, deployment({ replicas: 2 }), origin("b"));
    assert.fail("no conflict");
  } catch (error) {
    assert.ok(error instanceof SchemaFault);
    assert.equal(error.status, 409);
    assert.equal(error.message, 'Apply failed with 1 conflict: conflict with "a": .spec.replicas');
    assert.deepEqual(error.causes, [
      { reason: "FieldManagerConflict", message: 'conflict with "a"', field: ".spec.replicas" },
    ]);
  }
});

test("a field that an applier omits is removed, unless another manager owns it", () => {
  const live = apply(
    apply(undefined, deployment(containers("one", "two")), origin("a")),
    deployment(containers("two")),
    origin("b"),
  );
  assert.deepEqual(
    namesIn(apply(live, deployment(containers("three")), origin("a", 1))),
    ["three", "two"].sort().reverse(),
  );
});

test("an apply keeps other managers' labels, even if every object inherits a field of that name", () => {
  const labels = (text: string): Record<string, unknown> => ({ labels: JSON.parse(text) });
  const live = apply(undefined, deployment({}, labels('{"constructor":"a","__proto__":"b"}')), origin("first"));
  const next = apply(live, deployment({}, labels('{"toString":"c"}')), origin("second", 1));
  assert.equal(JSON.stringify(next.metadata.labels), '{"constructor":"a","__proto__":"b","toString":"c"}');
  const gone = apply(next, deployment({}, labels('{"constructor":"a"}')), origin("first", 2));
  assert.equal(JSON.stringify(gone.metadata.labels), '{"constructor":"a","toString":"c"}');
});

test("an ordinary write takes ownership of the fields that it changes", () => {
  const live = apply(undefined, deployment({ replicas: 1, paused: true }), origin("a"));
  const next = { ...live, spec: { ...(live.spec as object), replicas: 5 } };
  const entries = registry.updateManagedFields(deployments, live, next, origin("kubectl", 1));
  assert.deepEqual(
    entries.map(({ manager, operation, fieldsV1 }) => ({ manager, operation, fieldsV1 })),
    [
      { manager: "a", operation: "Apply", fieldsV1: { "f:spec": { "f:paused": {} } } },
      { manager: "kubectl", operation: "Update", fieldsV1: { "f:spec": { "f:replicas": {} } } },
    ],
  );
});

test("a creation whose entry becomes that of an apply lets the manager's next apply remove fields", () => {
  const sent = deployment({ replicas: 1, paused: true });
  const created = registry.updateManagedFields(deployments, undefined, sent, origin("a"));
  const live = { ...sent, metadata: { ...sent.metadata, managedFields: created } };
  const pausedAfter = (from: UntypedObject): unknown =>
    (apply(from, deployment({ replicas: 1 }), origin("a", 2)).spec as { paused?: boolean }).paused;
  assert.equal(pausedAfter(live), true, "the entry of the creation still owns the field");
  const applied = created.map((entry) => ({ ...entry, operation: "Apply" as const }));
  const turned = { ...live, metadata: { ...live.metadata, managedFields: applied } };
  const managedFields = registry.updateManagedFields(deployments, live, turned, origin("a", 1));
  assert.deepEqual(managedFields, applied);
  assert.equal(pausedAfter({ ...turned, metadata: { ...turned.metadata, managedFields } }), undefined);
});

test("only writes of the status subresource own status", () => {
  const live = { ...deployment({ replicas: 1 }), status: { replicas: 1 } };
  const created = registry.updateManagedFields(deployments, undefined, live, origin("c"));
  assert.equal("f:status" in (created[0]?.fieldsV1 ?? {}), false);
  const next = { ...live, metadata: { ...live.metadata, managedFields: created }, status: { replicas: 2 } };
  const updated = registry.updateManagedFields(
    deployments,
    { ...next, status: { replicas: 1 } },
    next,
    origin("controller", 1, "status"),
  );
  assert.deepEqual(updated.find(({ subresource }) => subresource === "status")?.fieldsV1, {
    "f:status": { "f:replicas": {} },
  });
});

test("an empty list of managedFields resets them; an object without any is tracked from its first apply", () => {
  const live = apply(undefined, deployment({ replicas: 1 }), origin("a"));
  const reset = { ...live, metadata: { ...live.metadata, managedFields: [] } };
  assert.deepEqual(registry.updateManagedFields(deployments, live, reset, origin("kubectl", 1)), []);
  assert.throws(
    () => apply({ ...live, metadata: { name: "web", namespace: "default" } }, deployment({ replicas: 2 }), origin("b")),
    /before-first-apply/,
  );
});

test("kubectl moves from client-side to server-side apply without a conflict", () => {
  const annotation = "kubectl.kubernetes.io/last-applied-configuration";
  const config = deployment({ replicas: 1 });
  const sent = deployment({ replicas: 1 }, { annotations: { [annotation]: JSON.stringify(config) } });
  const live = {
    ...sent,
    metadata: {
      ...sent.metadata,
      managedFields: registry.updateManagedFields(deployments, undefined, sent, origin("kubectl-client-side-apply")),
    },
  };
  const next = deployment({ replicas: 2 });
  assert.equal((apply(live, next, origin("kubectl", 1)).spec as { replicas: number }).replicas, 2);
  assert.throws(() => apply(live, next, origin("other", 1)), /conflict with "kubectl-client-side-apply"/);
});

test("list items are identified by all their keys, including defaults", () => {
  const ports = (...list: object[]): UntypedObject =>
    deployment({ template: { spec: { containers: [{ name: "c", ports: list }] } } });
  const live = apply(undefined, ports({ containerPort: 53 }, { containerPort: 53, protocol: "UDP" }), origin("a"));
  const next = apply(live, ports({ containerPort: 53, protocol: "TCP" }), origin("a", 1));
  assert.deepEqual(
    (next.spec as { template: { spec: { containers: { ports: unknown }[] } } }).template.spec.containers[0]?.ports,
    [{ containerPort: 53, protocol: "TCP" }],
  );
});

test("unknown fields, another version, and managedFields in the configuration are refused", () => {
  assert.throws(
    () => apply(undefined, deployment({ replicaz: 1 }), origin("a")),
    /\.spec\.replicaz: field not declared in schema/,
  );
  assert.throws(
    () => apply(undefined, { ...deployment({}), apiVersion: "apps/v2" }, origin("a")),
    /invalid object type: apps\/v2, Kind=Deployment/,
  );
  assert.throws(
    () => apply(undefined, deployment({}, { managedFields: [{}] }), origin("a")),
    /managedFields must be nil/,
  );
});

function frozen<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  for (const item of Object.values(value)) frozen(item);
  return Object.freeze(value);
}

function partsOf(value: unknown, parts = new Set<unknown>()): Set<unknown> {
  if (typeof value !== "object" || value === null) return parts;
  parts.add(value);
  for (const item of Object.values(value)) partsOf(item, parts);
  return parts;
}

test("patches and applies neither change the stored object nor share a part with it that a later step may change", () => {
  const stored = frozen(
    apply(undefined, deployment({ ...containers("a", "b"), paused: true }, { labels: { a: "1" } }), origin("one")),
  );
  const spec = { paused: false };
  const results = [
    registry.mergePatch(stored, { spec }),
    registry.jsonPatch(stored, [{ op: "replace", path: "/spec/paused", value: false }]),
    registry.strategicMerge(deployments, stored, { spec: containers("a") }),
    apply(stored, deployment(spec), origin("two"), true),
    apply(stored, deployment({ ...containers("a", "b"), paused: true }, { labels: { a: "1" } }), origin("one")),
  ];
  const storedParts = partsOf(stored);
  for (const [index, result] of results.entries()) {
    const { managedFields: _entries, ...metadata } = result.metadata;
    const shared = [...partsOf({ ...result, metadata })].filter((part) => storedParts.has(part));
    assert.deepEqual(shared, [], `result ${index}`);
  }
});
