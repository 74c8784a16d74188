import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { definitionsIn } from "../testing/definitions-in.ts";
import { gatewayKind, meshListener, parseGateway } from "./gateway.ts";

const waypoint = {
  kind: "Gateway",
  metadata: { name: "productpage", annotations: { "istio.io/service-account": "bookinfo-productpage" } },
  spec: { gatewayClassName: "istio-mesh" },
};

interface Definition {
  spec: {
    names: { kind: string };
    versions: {
      name: string;
      served: boolean;
      storage: boolean;
      schema: { openAPIV3Schema: { properties: { spec: Schema } } };
    }[];
  };
}

interface Schema {
  required?: string[];
  properties: { listeners: { default?: unknown } };
}

function labDefinition(): Definition {
  const text = readFileSync(new URL("../../../manifests/crds/gateway-api-lab.yaml", import.meta.url), "utf8");
  const found = (definitionsIn(text) as Definition[]).find(({ spec }) => spec.names.kind === "Gateway");
  assert.ok(found);
  return found;
}

test("a Gateway of v1alpha2 without listeners is the mesh's: one HBONE listener on 15008, with a warning to write it out", () => {
  const parsed = parseGateway({ apiVersion: "gateway.networking.k8s.io/v1alpha2", ...waypoint });
  assert.deepEqual(
    parsed.value?.spec.listeners.map(({ name, port, protocol }) => ({ name, port, protocol })),
    [meshListener],
  );
  assert.deepEqual(
    parsed.warnings.map((issue) => issue.path),
    ["spec.listeners"],
  );
  assert.match(parsed.warnings[0]?.message ?? "", /write the listener, in v1$/);
});

test("newer versions need listeners", () => {
  const parsed = parseGateway({ apiVersion: "gateway.networking.k8s.io/v1", ...waypoint });
  assert.deepEqual(parsed.errors, [{ path: "spec.listeners", message: "must have at least one listener" }]);
});

test("the lab's definition serves every supported version, and fills in the same listener only in v1alpha2", () => {
  const { versions } = labDefinition().spec;
  assert.deepEqual(
    versions.map(({ name, served, storage }) => ({ name, served, storage })),
    gatewayKind.versions.map((name) => ({ name, served: true, storage: name === "v1" })),
  );
  for (const { name, schema } of versions) {
    const { required, properties } = schema.openAPIV3Schema.properties.spec;
    const isOld = name === "v1alpha2";
    assert.deepEqual(properties.listeners.default, isOld ? [meshListener] : undefined, name);
    assert.deepEqual(required, isOld ? ["gatewayClassName"] : ["gatewayClassName", "listeners"], name);
  }
});

test("the name of a listener has labels of lower-case letters, digits and dashes, with one dot between them", () => {
  const faultsOf = (name: string): string[] =>
    parseGateway({
      apiVersion: "gateway.networking.k8s.io/v1",
      ...waypoint,
      spec: { gatewayClassName: "istio", listeners: [{ name, port: 80, protocol: "HTTP" }] },
    }).errors.map(({ path }) => path);
  assert.deepEqual(["http", "a.b-c.1"].flatMap(faultsOf), []);
  for (const name of ["a..b", ".a", "a.", "a.-b", "a-.b", "A"])
    assert.deepEqual(faultsOf(name), ["spec.listeners[0].name"], name);
});
