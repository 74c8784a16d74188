import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import type { UntypedObject } from "../../../api/index.ts";
import type { FieldError, ResourceType } from "../contract.ts";
import { createSchemaRegistry } from "../registry.ts";
import { loadCel } from "./cel/library.ts";
import type { StructuralSchema } from "./structural-schema.ts";
import { validateValue } from "./validate-value.ts";

const registry = createSchemaRegistry();
const definitionType = typeOf("apiextensions.k8s.io", "v1", "CustomResourceDefinition");

function typeOf(group: string, version: string, kind: string): ResourceType {
  const type = registry.resourceOfKind(group, version, kind);
  assert.ok(type !== undefined, `${group}/${version} ${kind}`);
  return type;
}

function definitionsIn(name: string): UntypedObject[] {
  const text = readFileSync(new URL(`../../../../manifests/crds/${name}.yaml`, import.meta.url), "utf8");
  return text
    .split(/^---$/m)
    .filter((part) => part.trimStart().startsWith("{"))
    .map((part) => JSON.parse(part) as UntypedObject);
}

test("every rule of the bundled definitions compiles", () => {
  const schemas = ["gateway-api-lab", "gateway-api", "istio", "metallb"].flatMap(definitionsIn);
  const rules = new Set(
    [...JSON.stringify(schemas).matchAll(/"(?:rule|messageExpression)":("(?:[^"\\]|\\.)*")/g)].map(
      ([, text = '""']) => JSON.parse(text) as string,
    ),
  );
  assert.ok(rules.size > 100);
  for (const rule of rules) assert.doesNotThrow(() => loadCel().compile(rule), rule);
});

for (const name of ["gateway-api-lab", "istio", "metallb"]) {
  for (const definition of definitionsIn(name)) {
    test(`${definition.metadata.name ?? ""}: no unknown field, structural, all rules compile`, () => {
      assert.deepEqual(registry.dropUnknownFields(definitionType, definition), []);
      registry.applyDefaults(definitionType, definition);
      assert.deepEqual(registry.validate(definitionType, definition, undefined), []);
      assert.deepEqual(registry.addCustomResourceDefinition(definition), []);
    });
  }
}

/** The object after pruning and defaulting, and its faults in the form `field: message`. */
function judge(
  object: Record<string, unknown>,
  old?: UntypedObject,
): { object: UntypedObject; errors: string[]; unknown: readonly string[] } {
  const [group = "", version = ""] = String(object.apiVersion).split("/");
  const type = typeOf(group, version, String(object.kind));
  const copy = structuredClone({ ...object, metadata: { name: "x", namespace: "default" } }) as UntypedObject;
  const unknown = registry.dropUnknownFields(type, copy);
  registry.applyDefaults(type, copy);
  const errors = registry.validate(type, copy, old).map(({ field, message }: FieldError) => `${field}: ${message}`);
  return { object: copy, errors, unknown };
}

const gateway = (...listeners: object[]): Record<string, unknown> => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "Gateway",
  spec: { gatewayClassName: "istio", listeners },
});
const route = (spec: object): Record<string, unknown> => ({
  apiVersion: "gateway.networking.k8s.io/v1",
  kind: "HTTPRoute",
  spec,
});

test("a Gateway gets its defaults, and a rule refuses two indistinguishable listeners", () => {
  const { object, errors } = judge(gateway({ name: "http", port: 80, protocol: "HTTP" }));
  assert.deepEqual(errors, []);
  assert.deepEqual(object.spec, {
    gatewayClassName: "istio",
    listeners: [{ name: "http", port: 80, protocol: "HTTP", allowedRoutes: { namespaces: { from: "Same" } } }],
  });
  const twice = judge(gateway({ name: "a", port: 80, protocol: "HTTP" }, { name: "b", port: 80, protocol: "HTTP" }));
  assert.deepEqual(twice.errors, [
    "spec.listeners: Invalid value: Combination of port, protocol and hostname must be unique for each listener",
  ]);
  const sameName = judge(gateway({ name: "a", port: 80, protocol: "HTTP" }, { name: "a", port: 81, protocol: "HTTP" }));
  assert.ok(sameName.errors.includes('spec.listeners[1]: Duplicate value: {"name":"a"}'));
});

test("a Gateway of v1alpha2 without listeners gets the mesh's default", () => {
  const { object, errors } = judge({
    apiVersion: "gateway.networking.k8s.io/v1alpha2",
    kind: "Gateway",
    spec: { gatewayClassName: "istio-mesh" },
  });
  assert.deepEqual(errors, []);
  assert.deepEqual((object.spec as { listeners: unknown }).listeners, [
    { name: "mesh", port: 15008, protocol: "HBONE", allowedRoutes: { namespaces: { from: "Same" } } },
  ]);
});

test("schema errors have the real server's texts", () => {
  const { errors, unknown } = judge(gateway({ name: "Http_", port: 0, protocol: "HTTP", bogus: 1 }));
  assert.deepEqual(unknown, ["spec.listeners[0].bogus"]);
  assert.ok(
    errors.includes(
      "spec.listeners[0].port: Invalid value: 0: spec.listeners[0].port in body should be greater than or equal to 1",
    ),
  );
  assert.ok(
    errors.some((error) =>
      error.startsWith('spec.listeners[0].name: Invalid value: "Http_": spec.listeners[0].name in body should match'),
    ),
  );
  const wrongType = judge({ ...gateway(), spec: { gatewayClassName: 1, listeners: "x" } });
  assert.ok(
    wrongType.errors.includes(
      'spec.gatewayClassName: Invalid value: "integer": spec.gatewayClassName in body must be of type string: "integer"',
    ),
  );
  assert.ok(
    wrongType.errors.some((error) =>
      error.startsWith("<nil>: Invalid value: null: some validation rules were not checked"),
    ),
  );
  assert.deepEqual(
    judge({ ...gateway(), spec: { listeners: [{ name: "a", port: 1, protocol: "TCP" }] } }).errors[0],
    "spec.gatewayClassName: Required value",
  );
});

test("an HTTPRoute with weights is valid, but not a redirect beside backends or a relative path", () => {
  const rule = {
    matches: [{ path: { type: "PathPrefix", value: "/x" } }],
    backendRefs: [
      { name: "a", port: 80, weight: 90 },
      { name: "b", port: 80, weight: 10 },
    ],
  };
  assert.deepEqual(judge(route({ parentRefs: [{ name: "g" }], rules: [rule] })).errors, []);
  const redirect = judge(
    route({ rules: [{ ...rule, filters: [{ type: "RequestRedirect", requestRedirect: { port: 81 } }] }] }),
  ).errors;
  assert.ok(
    redirect.some((error) =>
      error.startsWith(
        "spec.rules[0]: Invalid value: RequestRedirect filter must not be used together with backendRefs",
      ),
    ),
  );
  const relative = judge(route({ rules: [{ matches: [{ path: { type: "PathPrefix", value: "x" } }] }] })).errors;
  assert.ok(
    relative.some((error) => error.includes("must be an absolute path and start with '/'")),
    relative.join("\n"),
  );
});

test("Istio's rules validate a ServiceEntry and an AuthorizationPolicy", () => {
  const entry = {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    spec: { hosts: ["*"], ports: [{ number: 70000, name: "x" }] },
  };
  assert.deepEqual(judge(entry).errors, [
    'spec.hosts[0]: Invalid value: "*": hostname cannot be wildcard',
    "spec.ports[0].number: Invalid value: 70000: port must be between 1-65535",
  ]);
  const policy = {
    apiVersion: "security.istio.io/v1",
    kind: "AuthorizationPolicy",
    spec: { selector: { matchLabels: { a: "b" } }, targetRefs: [{ kind: "Service", name: "x" }] },
  };
  assert.deepEqual(judge(policy).errors, ["spec: Invalid value: only one of targetRefs or selector can be set"]);
});

function define(schema: object, extra: object = {}): ResourceType {
  const definition = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "things.example.dev" },
    spec: {
      group: "example.dev",
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
      versions: [
        {
          name: "v1",
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: "object", properties: { spec: schema } } },
          ...extra,
        },
      ],
    },
  } as UntypedObject;
  assert.deepEqual(registry.validate(definitionType, definition, undefined), []);
  assert.deepEqual(registry.addCustomResourceDefinition(definition), []);
  return typeOf("example.dev", "v1", "Thing");
}

test("a CRD of which no version is served any more is no longer served", () => {
  define({ type: "object" });
  assert.notEqual(registry.resource("example.dev", "v1", "things"), undefined);
  const unserved = {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "things.example.dev" },
    spec: {
      group: "example.dev",
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
      versions: [{ name: "v1", served: false, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
    },
  } as UntypedObject;
  assert.deepEqual(registry.validate(definitionType, unserved, undefined), []);
  assert.deepEqual(registry.addCustomResourceDefinition(unserved), []);
  assert.equal(registry.resource("example.dev", "v1", "things"), undefined);
});

const customObject = (spec: object): Record<string, unknown> => ({ apiVersion: "example.dev/v1", kind: "Thing", spec });

test("transition rules see the old value, run only on updates, and faults in unchanged fields are tolerated", () => {
  define({
    type: "object",
    properties: {
      size: {
        type: "integer",
        minimum: 5,
        "x-kubernetes-validations": [{ rule: "self >= oldSelf", message: "may not shrink" }],
      },
      color: { type: "string" },
    },
  });
  assert.deepEqual(judge(customObject({ size: 7 })).errors, []);
  const old = judge(customObject({ size: 9 })).object;
  assert.deepEqual(judge(customObject({ size: 8 }), old).errors, ["spec.size: Invalid value: 8: may not shrink"]);
  const faulty = { ...old, spec: { size: 1 } };
  assert.deepEqual(judge(customObject({ size: 1, color: "red" }), faulty).errors, []);
});

test("a rule with an optional old value runs on creation too, and sees whether there was one", () => {
  const rules = [
    { rule: "!oldSelf.hasValue() || oldSelf.value() == self", optionalOldSelf: true, message: "may not change" },
    { rule: "oldSelf.orValue(self) == self", optionalOldSelf: true, message: "must stay" },
    { rule: "oldSelf.hasValue() || self != 'late'", optionalOldSelf: true, message: "not at first" },
  ];
  define({ type: "object", properties: { color: { type: "string", "x-kubernetes-validations": rules } } });
  const red = judge(customObject({ color: "red" }));
  assert.deepEqual(red.errors, []);
  assert.deepEqual(judge(customObject({ color: "red" }), red.object).errors, []);
  assert.deepEqual(judge(customObject({ color: "late" })).errors, ['spec.color: Invalid value: "late": not at first']);
  assert.deepEqual(judge(customObject({ color: "blue" }), red.object).errors, [
    'spec.color: Invalid value: "blue": may not change',
    'spec.color: Invalid value: "blue": must stay',
  ]);
});

test("Kubernetes' own functions work in rules: quantities, networks, URLs, formats, lists, regular expressions", () => {
  const holds = (rule: string): boolean => {
    define({
      type: "object",
      properties: { s: { type: "string" }, n: { type: "array", items: { type: "integer" } } },
      "x-kubernetes-validations": [{ rule, message: "no" }],
    });
    return judge(customObject({ s: "10.0.0.1", n: [1, 2, 3] })).errors.length === 0;
  };
  for (const rule of [
    'quantity("1Gi").isGreaterThan(quantity("500Mi"))',
    'quantity("1").add(quantity("500m")).compareTo(quantity("1500m")) == 0',
    'cidr("10.0.0.0/8").containsIP(ip(self.s))',
    'isIP(self.s) && ip(self.s).family() == 4 && !isIP("300.1.1.1")',
    'url("https://a.b:80/c?d=e").getHost() == "a.b:80" && url("https://a.b:80/c").getEscapedPath() == "/c"',
    '!format.dns1123Label().validate("Bad_").hasValue() == false',
    "self.n.isSorted() && self.n.sum() == 6 && self.n.max() == 3 && self.n.indexOf(2) == 1",
    "sets.contains(self.n, [1, 3])",
    '"abc 123".find("[0-9]+") == "123" && self.s.matches("^[0-9.]+$")',
    'semver("1.10.0").isGreaterThan(semver("1.9.0"))',
    "self.s.split('.').size() == 4 && self.s.replace('.', '-') == '10-0-0-1'",
    'duration("90s") > duration("1m")',
  ])
    assert.ok(holds(rule), rule);
  assert.equal(holds("self.n.all(x, x < 3)"), false);
});

test("int-or-string, preserved unknown fields, nullable and embedded objects follow their schema", () => {
  define({
    type: "object",
    properties: {
      port: { "x-kubernetes-int-or-string": true },
      free: {
        type: "object",
        "x-kubernetes-preserve-unknown-fields": true,
        properties: { known: { type: "object", properties: {} } },
      },
      maybe: { type: "string", nullable: true },
      never: { type: "string" },
      held: { type: "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true },
    },
  });
  const { object, errors, unknown } = judge(
    customObject({
      port: "http",
      free: { a: { b: 1 }, known: { gone: 1 } },
      maybe: null,
      never: null,
      held: { apiVersion: "v1", kind: "Pod", metadata: { name: "p", bogus: 1 } },
    }),
  );
  assert.deepEqual(errors, []);
  assert.deepEqual([...unknown].sort(), ["spec.free.known.gone", "spec.held.metadata.bogus"]);
  assert.deepEqual(object.spec, {
    port: "http",
    free: { a: { b: 1 }, known: {} },
    maybe: null,
    held: { apiVersion: "v1", kind: "Pod", metadata: { name: "p" } },
  });
  assert.equal(
    judge(customObject({ port: true, held: { apiVersion: "v1" } })).errors.filter((error) => !error.startsWith("<nil>"))
      .length,
    2,
  );
});

function faultsOfSchema(schema: object): readonly FieldError[] {
  const definition = definitionsIn("metallb")[0] as UntypedObject & { spec: { versions: object[] } };
  definition.spec.versions = [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: schema } }];
  return registry.validate(definitionType, definition, undefined);
}

test("a CRD that is not structural or has an invalid CEL rule is refused, and the message names the field", () => {
  assert.equal(
    faultsOfSchema({ type: "object", properties: { spec: {} } })[0]?.field,
    "spec.validation.openAPIV3Schema.properties[spec].type",
  );
  const [rule] = faultsOfSchema({ type: "object", "x-kubernetes-validations": [{ rule: "self.(" }] });
  assert.equal(rule?.field, "spec.validation.openAPIV3Schema.x-kubernetes-validations[0].rule");
});

test("additionalProperties beside properties may only be true, which keeps unknown fields", () => {
  const spec = (additionalProperties: unknown): object => ({
    type: "object",
    properties: { port: { type: "integer" } },
    additionalProperties,
  });
  const faults = (additionalProperties: unknown): string[] =>
    faultsOfSchema({ type: "object", properties: { spec: spec(additionalProperties) } }).map(
      ({ field, message }) => `${field}: ${message}`,
    );
  const path = "spec.validation.openAPIV3Schema.properties[spec].additionalProperties";
  for (const refused of [false, { type: "string" }])
    assert.deepEqual(faults(refused), [`${path}: Forbidden: additionalProperties and properties are mutual exclusive`]);
  assert.deepEqual(faults(true), []);
  define(spec(true));
  const { object, errors, unknown } = judge(customObject({ port: 1, other: "kept" }));
  assert.deepEqual([object["spec"], errors, unknown], [{ port: 1, other: "kept" }, [], []]);
});

/** A CRD with three versions. `deprecated` contains the fields that make the oldest version deprecated. */
function threeVersions(deprecated: object): UntypedObject {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: "things.example.dev" },
    spec: {
      group: "example.dev",
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
      versions: ["v1alpha1", "v1beta1", "v1"].map((name) => ({
        name,
        served: true,
        storage: name === "v1",
        schema: { openAPIV3Schema: { type: "object" } },
        ...(name === "v1alpha1" ? deprecated : {}),
      })),
    },
  };
}

test("a deprecated version has its own warning, or one that names the newest version to use", () => {
  const warningWith = (deprecated: object): string | undefined => {
    assert.deepEqual(registry.validate(definitionType, threeVersions(deprecated), undefined), []);
    registry.addCustomResourceDefinition(threeVersions(deprecated));
    assert.equal(typeOf("example.dev", "v1", "Thing").deprecationWarning, undefined);
    return typeOf("example.dev", "v1alpha1", "Thing").deprecationWarning;
  };
  assert.equal(warningWith({}), undefined);
  assert.equal(warningWith({ deprecated: true }), "example.dev/v1alpha1 Thing is deprecated; use example.dev/v1 Thing");
  assert.equal(warningWith({ deprecated: true, deprecationWarning: "it goes" }), "it goes");
  const faults = (extra: object): string[] =>
    registry.validate(definitionType, threeVersions(extra), undefined).map(({ message }) => message);
  assert.match(faults({ deprecationWarning: "it goes" }).join(), /can only be set for deprecated versions/);
  assert.match(faults({ deprecated: true, deprecationWarning: "" }).join(), /must not be an empty string/);
  assert.match(faults({ deprecated: true, deprecationWarning: "a\nb" }).join(), /printable UTF-8/);
  assert.match(faults({ deprecated: true, deprecationWarning: "a".repeat(257) }).join(), /<= 256 characters/);
});

test("printer columns, scale, selectable fields and several versions are served as declared", () => {
  const type = define(
    {
      type: "object",
      properties: { replicas: { type: "integer" }, names: { type: "array", items: { type: "string" } } },
    },
    {
      additionalPrinterColumns: [
        { name: "Replicas", type: "integer", jsonPath: ".spec.replicas" },
        { name: "Names", type: "string", jsonPath: ".spec.names[*]", priority: 1 },
        { name: "Ready", type: "string", jsonPath: '.status.conditions[?(@.type=="Ready")].status' },
        { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
      ],
      subresources: {
        status: {},
        scale: { specReplicasPath: ".spec.replicas", statusReplicasPath: ".status.replicas" },
      },
      selectableFields: [{ jsonPath: ".spec.replicas" }],
    },
  );
  assert.deepEqual(
    type.subresources.map(({ name }) => name),
    ["status", "scale"],
  );
  assert.deepEqual(type.scale, { specReplicasPath: "spec.replicas", statusReplicasPath: "status.replicas" });
  assert.deepEqual(type.selectableFields, ["spec.replicas"]);
  assert.deepEqual(
    registry.tableColumns(type).map(({ name, priority }) => `${name}${priority}`),
    ["Name0", "Replicas0", "Names1", "Ready0", "Age0"],
  );
  const object = {
    ...customObject({ replicas: 3, names: ["a", "b"] }),
    metadata: { name: "t", creationTimestamp: "2026-01-01T00:00:00Z" },
    status: { conditions: [{ type: "Ready", status: "True" }] },
  } as UntypedObject;
  assert.deepEqual(registry.tableCells(type, object, Date.parse("2026-01-01T00:10:00Z")), [
    "t",
    3,
    "a,b",
    "True",
    "10m",
  ]);
});

test("the OpenAPI documents contain custom kinds until the definition is deleted", () => {
  define({ type: "object" });
  const document = registry.openApiV3("apis/example.dev/v1");
  const schemas = (
    JSON.parse(Buffer.from(document?.body ?? []).toString()) as { components: { schemas: Record<string, unknown> } }
  ).components.schemas;
  assert.ok("dev.example.v1.Thing" in schemas && "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta" in schemas);
  const before = registry.openApiV2(false);
  assert.ok(Buffer.from(before.body).includes('"dev.example.v1.Thing"'));
  const protobuf = Buffer.from(registry.openApiV2(true).body);
  assert.ok(protobuf.includes("dev.example.v1.Thing") && protobuf.includes("io.k8s.api.apps.v1.Deployment"));
  registry.removeCustomResourceDefinition("things.example.dev");
  assert.equal(registry.openApiV3("apis/example.dev/v1"), undefined);
  assert.notEqual(registry.openApiV2(false).hash, before.hash);
});

test("the hash of an OpenAPI document of custom kinds is that of its body, and the index names it", () => {
  const hashOf = (body: Uint8Array | undefined): string =>
    createHash("sha256")
      .update(body ?? new Uint8Array())
      .digest("hex")
      .toUpperCase();
  const listed = (): string | undefined =>
    registry.openApiV3Paths().find(({ path }) => path === "apis/example.dev/v1")?.hash;
  const served = (): string => {
    const document = registry.openApiV3("apis/example.dev/v1");
    assert.equal(document?.hash, hashOf(document?.body));
    return document?.hash ?? "";
  };
  define({ type: "object" });
  const first = listed();
  assert.equal(first, served());
  define({ type: "object", description: "another schema" });
  const second = listed();
  assert.equal(second, served());
  assert.notEqual(second, first);
  define({ type: "object" });
  assert.equal(listed(), first);
  for (const protobuf of [false, true]) {
    const { body, hash } = registry.openApiV2(protobuf);
    assert.equal(hash, hashOf(body));
  }
  registry.removeCustomResourceDefinition("things.example.dev");
  assert.equal(listed(), undefined);
});

test("a number beyond int64 is no integer, and a day that its month does not have is no date", () => {
  const problems = (schema: StructuralSchema, value: unknown): number => validateValue(schema, value, "spec.a").length;
  for (const value of [1e300, 2 ** 63, -(2 ** 63)]) assert.equal(problems({ type: "integer" }, value), 1, `${value}`);
  for (const value of [0, -5, 2 ** 53, 2 ** 62]) assert.equal(problems({ type: "integer" }, value), 0, `${value}`);
  assert.equal(problems({ type: "number" }, 1e300), 0);
  for (const format of ["date-time", "datetime"]) {
    assert.equal(problems({ type: "string", format }, "2026-02-30T00:00:00Z"), 1);
    assert.equal(problems({ type: "string", format }, "2024-02-29T23:59:59.5+01:00"), 0);
  }
  assert.equal(problems({ type: "string", format: "date" }, "2026-04-31"), 1);
  assert.equal(problems({ type: "string", format: "date" }, "2026-04-30"), 0);
});
