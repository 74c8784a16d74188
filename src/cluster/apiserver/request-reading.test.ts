import assert from "node:assert/strict";
import { test } from "node:test";
import { objectsInManifest } from "../../kube/index.ts";
import type { ResourceType } from "../schema/contract.ts";
import type { StoredRecord } from "../store/index.ts";
import { duplicateFields, parseYaml } from "./body.ts";
import { boundedWarnings } from "./context.ts";
import { parseFieldSelector } from "./field-selector.ts";
import { answerFormOf } from "./negotiate.ts";
import { requestInfoOf } from "./request-info.ts";
import { parseLabelSelector } from "./label-selector.ts";
import { scaleOf, withScale } from "./scale.ts";

test("a client's unusual YAML causes no line in the log", async (t) => {
  const warn = t.mock.method(process, "emitWarning", () => undefined);
  const odd = "c: !!merge x\n";
  await parseYaml(odd);
  await assert.rejects(parseYaml(`? [k]\n: 1\n${odd}`), /Map keys must be scalars/);
  await Array.fromAsync(objectsInManifest(`? [k]\n: 1\n${odd}`));
  assert.equal(warn.mock.callCount(), 0);
});

test("a path gives verb, resource, namespace, name, subresource and the rest", () => {
  const read = (method: string, url: string): string => {
    const { pathname, searchParams } = new URL(`https://x${url}`);
    const info = requestInfoOf(method, pathname, searchParams);
    if (info.kind === "path") return `${info.verb} ${info.path}`;
    return [
      info.verb,
      info.group,
      info.version,
      info.namespace,
      info.resource,
      info.name,
      info.subresource,
      info.rest,
    ].join("|");
  };
  assert.equal(read("GET", "/version"), "get /version");
  assert.equal(read("GET", "/apis/apps"), "get /apis/apps");
  assert.equal(read("GET", "/api/v1/pods"), "list||v1||pods|||");
  assert.equal(read("GET", "/api/v1/pods?watch=1"), "watch||v1||pods|||");
  assert.equal(read("GET", "/api/v1/namespaces/a"), "get||v1|a|namespaces|a||");
  assert.equal(read("PUT", "/api/v1/namespaces/a/finalize"), "update||v1|a|namespaces|a|finalize|");
  assert.equal(read("DELETE", "/apis/apps/v1/namespaces/a/deployments"), "deletecollection|apps|v1|a|deployments|||");
  assert.equal(read("PATCH", "/apis/apps/v1/namespaces/a/deployments/b/scale"), "patch|apps|v1|a|deployments|b|scale|");
  assert.equal(read("POST", "/api/v1/namespaces/a/services/b:80/proxy/c/d/"), "create||v1|a|services|b:80|proxy|/c/d/");
});

test("label selectors with equality, sets and presence are parsed, and others are refused", () => {
  const labels = { app: "web", tier: "front" };
  const matches = (text: string): boolean | undefined => parseLabelSelector(text)?.(labels);
  for (const text of [
    "app=web",
    "app==web,tier!=back",
    "app in (web, api)",
    "tier notin (back)",
    "app,!old",
    "zone notin (x)",
  ])
    assert.equal(matches(text), true, text);
  for (const text of ["app!=web", "old", "!app", "app in (api)", "tier notin (front)"])
    assert.equal(matches(text), false, text);
  assert.equal(parseLabelSelector(""), undefined);
  assert.throws(() => parseLabelSelector("a=b=c"), { code: 400 });
  assert.throws(() => parseLabelSelector("app in web"), { code: 400 });
});

test("a label selector sees only the object's own labels, whatever they are called", () => {
  const matches = (text: string, labels: string): boolean | undefined => parseLabelSelector(text)?.(JSON.parse(labels));
  for (const name of ["constructor", "toString", "valueOf"]) {
    const own = `{"${name}":"7"}`;
    for (const text of [name, `${name} in (7)`, `${name}>6`, `${name}=7`]) {
      assert.equal(matches(text, own), true, text);
      assert.equal(matches(text, "{}"), false, text);
    }
    for (const text of [`!${name}`, `${name} notin (7)`, `${name}!=7`]) {
      assert.equal(matches(text, own), false, text);
      assert.equal(matches(text, "{}"), true, text);
    }
  }
});

test("a field selector sees only the object's own fields", () => {
  const type = { builtIn: false, namespaced: true, selectableFields: ["spec.constructor", "spec.toString.name"] };
  const test = (text: string, spec: string): boolean | undefined =>
    parseFieldSelector(text, type as unknown as ResourceType).test?.({
      object: { spec: JSON.parse(spec) },
    } as unknown as StoredRecord);
  assert.equal(test("spec.constructor=a", '{"constructor":"a"}'), true);
  assert.equal(test("spec.constructor=", "{}"), true);
  assert.equal(test("spec.toString.name=", "{}"), true);
  assert.equal(test("spec.toString.name=toString", "{}"), false);
});

test("a Scale is read from and written to the object's own fields", () => {
  const paths = (specReplicasPath: string): ResourceType =>
    ({ scale: { specReplicasPath, statusReplicasPath: "status.replicas" } }) as unknown as ResourceType;
  const scale = { metadata: {}, spec: { replicas: 3 } };
  const object = { metadata: {}, spec: {} };
  const polluting = paths("spec.__proto__.polluted");
  assert.deepEqual(scaleOf(polluting, withScale(polluting, object, scale)).spec, { replicas: 3 });
  assert.equal(({} as { polluted?: unknown }).polluted, undefined);
  assert.deepEqual(scaleOf(paths("spec.constructor.length"), { metadata: {}, spec: {} }).spec, { replicas: 0 });
});

test("duplicate fields of a body are found by path, and strings that look like fields are ignored", () => {
  assert.deepEqual(duplicateFields('{"a":1,"b":{"c":[{"d":1},{"d":1,"d":2}],"c":3},"a":4,"e":"\\"a\\":1,{"}'), [
    "b.c[1].d",
    "b.c",
    "a",
  ]);
});

test("the first supported format of the Accept header is served", () => {
  assert.equal(answerFormOf("application/vnd.kubernetes.protobuf,application/json").as, "object");
  assert.equal(answerFormOf("application/json;as=Table;v=v1;g=meta.k8s.io,application/json").as, "table");
  assert.equal(
    answerFormOf(
      "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    ).as,
    "partial",
  );
  assert.equal(answerFormOf("application/yaml").encoding, "yaml");
  assert.throws(() => answerFormOf("application/cbor"), { code: 406 });
});

test("the duplicate fields of a body are reported up to a bound, whatever the length of their path", () => {
  const text = `{"${"k".repeat(1_000_000)}":{${'"a":1,'.repeat(3000)}"b":1}}`;
  assert.equal(duplicateFields(text).length, 100);
});

test("the warnings of an answer are cut to a few kilobytes, because clients refuse longer heads", () => {
  assert.deepEqual(boundedWarnings(["a", "b", "a"]), ["a", "b"]);
  const long = Array.from({ length: 1000 }, (_, index) => `${index} ${"x".repeat(300)}`);
  const bounded = boundedWarnings(long);
  assert.equal(bounded.length, 16);
  assert.ok(bounded.every((text) => text.length === 256));
  assert.deepEqual(boundedWarnings(["y".repeat(5000)]), ["y".repeat(256)]);
});
