import assert from "node:assert/strict";
import { test } from "node:test";
import type { UntypedObject } from "../../api/index.ts";
import { definitionFindings } from "../findings.ts";
import { compareDefinitions } from "./definitions.ts";

const name = "routes.example.io";

interface VersionOfTest {
  readonly name: string;
  readonly properties: Record<string, unknown>;
  readonly served?: boolean;
  readonly storage?: boolean;
  readonly required?: string[];
}

function definition(versions: readonly VersionOfTest[], storedVersions = ["v1"]): UntypedObject {
  return {
    kind: "CustomResourceDefinition",
    metadata: { name },
    spec: {
      versions: versions.map(({ name: version, properties, served = true, storage = false, required }) => ({
        name: version,
        served,
        storage,
        schema: {
          openAPIV3Schema: {
            type: "object",
            properties: { spec: { type: "object", properties, ...(required === undefined ? {} : { required }) } },
          },
        },
      })),
    },
    status: { storedVersions },
  };
}

const rules = (field: string): Record<string, unknown> => ({
  rules: { type: "array", items: { type: "object", properties: { [field]: { type: "string" } } } },
});
const stored: UntypedObject[] = [
  {
    kind: "Route",
    metadata: { name: "a", namespace: "shop" },
    spec: { rules: [{ other: "x" }, { old: "y" }], mode: "FAST" },
  },
  { kind: "Route", metadata: { name: "b", namespace: "shop" }, spec: { rules: [{ other: "x" }] } },
];

function compare(before: UntypedObject, after: UntypedObject): ReturnType<typeof compareDefinitions> {
  return compareDefinitions({ before: [before], after: [after], stored: new Map([[name, stored]]) });
}

test("a removed field is reported with the objects that use it, even in lists", () => {
  const changes = compare(
    definition([{ name: "v1", properties: rules("old"), storage: true }]),
    definition([{ name: "v1", properties: rules("new"), storage: true }]),
  );
  assert.deepEqual(
    changes.map(({ type, field, objects, total }) => [type, field, objects, total]),
    [
      ["field-gone", "spec.rules[].old", ["Route shop/a"], 1],
      ["field-added", "spec.rules[].new", [], 0],
    ],
  );
  assert.deepEqual(
    definitionFindings({ installed: true, changes }).map(({ severity }) => severity),
    ["warning"],
  );
  assert.deepEqual(
    definitionFindings({ installed: false, changes }).map(({ severity }) => severity),
    ["note"],
  );
});

test("a change that would make stored objects invalid blocks", () => {
  const before = definition([
    { name: "v1", properties: { mode: { type: "string", enum: ["FAST", "SLOW"] } }, storage: true },
  ]);
  const after = definition([
    { name: "v1", properties: { mode: { type: "string", enum: ["SLOW"] } }, storage: true, required: ["mode"] },
  ]);
  const changes = compare(before, after);
  assert.deepEqual(
    changes.map(({ type, objects }) => [type, objects]),
    [
      ["required-added", ["Route shop/b"]],
      ["values-gone", ["Route shop/a"]],
    ],
  );
  assert.deepEqual(
    definitionFindings({ installed: true, changes }).map(({ severity }) => severity),
    ["blocked", "blocked"],
  );
});

test("a version with stored objects may not be removed, and one that is no longer served gets a warning", () => {
  const gone = compare(
    definition([{ name: "v1", properties: {}, storage: true }]),
    definition([{ name: "v2", properties: {}, storage: true }]),
  );
  assert.deepEqual(
    gone.map(({ type, version, total }) => [type, version, total]),
    [
      ["version-gone", "v1", 2],
      ["version-added", "v2", 0],
      ["storage-moved", "v2", 0],
    ],
  );
  assert.equal(definitionFindings({ installed: true, changes: gone })[0]?.severity, "blocked");
  const unserved = compare(
    definition([{ name: "v1", properties: {}, storage: true }]),
    definition([{ name: "v1", properties: {}, storage: true, served: false }]),
  );
  assert.deepEqual(
    unserved.map(({ type }) => type),
    ["version-unserved"],
  );
});

test("of several variants of a definition, as those of the Gateway API's channels, only the closest counts", () => {
  const standard = definition([{ name: "v1", storage: true, properties: rules("name") }]);
  const experimental = definition([
    { name: "v1", storage: true, properties: { ...rules("name"), retry: { type: "string" } } },
    { name: "v1alpha2", properties: rules("name") },
  ]);
  const compared = (before: UntypedObject): unknown[] =>
    compareDefinitions({ before: [before], after: [standard, experimental], stored: new Map() });
  assert.deepEqual(compared(standard), []);
  assert.deepEqual(compared(experimental), []);
  const added = compareDefinitions({ before: [], after: [standard, experimental], stored: new Map() });
  assert.deepEqual(
    added.map(({ definition: of, type }) => `${type} ${of}`),
    [`kind-added ${name}`],
  );
});
