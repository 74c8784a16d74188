// Custom resources: defaults, pruning, validation by schema and by rules, ratcheting, versions, subresources, tables.
import { asTable, get, patch, post, put, remove, watch, type Exchange, type Json } from "../exchange.ts";

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const widgets = "/apis/corpus.example.com/v1/namespaces/corpus/widgets";
const older = "/apis/corpus.example.com/v1beta1/namespaces/corpus/widgets";

const specSchema = {
  type: "object",
  required: ["size"],
  properties: {
    size: { type: "integer", minimum: 1, maximum: 10 },
    replicas: { type: "integer", default: 1 },
    color: { type: "string", enum: ["red", "green"], default: "red" },
    name: { type: "string", pattern: "^[a-z]+$", maxLength: 5 },
    tags: { type: "array", maxItems: 2, items: { type: "string" }, "x-kubernetes-list-type": "set" },
    parts: {
      type: "array",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
      items: {
        type: "object",
        required: ["name"],
        properties: { name: { type: "string" }, weight: { type: "integer", default: 5 } },
      },
    },
    free: { type: "object", "x-kubernetes-preserve-unknown-fields": true },
    labels: { type: "object", additionalProperties: { type: "string" } },
    port: { "x-kubernetes-int-or-string": true },
    when: { type: "string", format: "date-time" },
    either: {
      type: "object",
      properties: { a: { type: "string" }, b: { type: "string" } },
      oneOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    fixed: {
      type: "string",
      "x-kubernetes-validations": [{ rule: "self == oldSelf", message: "fixed may not change" }],
    },
    nothing: { type: "string", nullable: true },
  },
  "x-kubernetes-validations": [
    {
      rule: "!has(self.replicas) || self.replicas <= self.size",
      message: "replicas above size",
      fieldPath: ".replicas",
      reason: "FieldValueInvalid",
    },
  ],
};
const statusSchema = { type: "object", properties: { ready: { type: "integer" }, selector: { type: "string" } } };
const schema = { openAPIV3Schema: { type: "object", properties: { spec: specSchema, status: statusSchema } } };

function definition(name: string, kind: string, versions: readonly object[], more: object = {}): object {
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${name}.corpus.example.com` },
    spec: { group: "corpus.example.com", scope: "Namespaced", names: { plural: name, kind }, versions, ...more },
  };
}

const version = (name: string, storage: boolean): object => ({
  name,
  served: true,
  storage,
  schema,
  subresources: {
    status: {},
    scale: {
      specReplicasPath: ".spec.replicas",
      statusReplicasPath: ".status.ready",
      labelSelectorPath: ".status.selector",
    },
  },
  additionalPrinterColumns: [
    { name: "Size", type: "integer", jsonPath: ".spec.size" },
    { name: "Color", type: "string", jsonPath: ".spec.color", priority: 1, description: "its color" },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
  selectableFields: [{ jsonPath: ".spec.color" }],
});

const plain = (name: string, storage = true, properties: object = {}): object => ({
  name,
  served: true,
  storage,
  schema: { openAPIV3Schema: { type: "object", ...properties } },
});
const widget = (name: string, spec: object, more: object = {}): object => ({
  apiVersion: "corpus.example.com/v1",
  kind: "Widget",
  metadata: { name },
  spec,
  ...more,
});

export const custom: readonly Exchange[] = [
  post(
    "a definition",
    definitions,
    definition("widgets", "Widget", [version("v1", true), version("v1beta1", false)], {
      names: { plural: "widgets", kind: "Widget", shortNames: ["wd"], categories: ["all"] },
    }),
  ),
  {
    ...get("the definition is established", `${definitions}/widgets.corpus.example.com`),
    waitFor: (body: Json) =>
      body.status?.conditions?.some(
        (condition: Json) => condition.type === "Established" && condition.status === "True",
      ) === true,
  },
  { ...get("its group is there", "/apis/corpus.example.com"), waitFor: (body: Json) => body.versions?.length === 2 },
  {
    ...get("its kinds are there", "/apis/corpus.example.com/v1"),
    waitFor: (body: Json) => body.resources?.length === 3,
  },
  { ...get("it lists nothing", widgets), waitFor: (body: Json) => body.items?.length === 0 },
  post("a custom object with defaults", widgets, widget("plain", { size: 3, parts: [{ name: "a" }] })),
  get("it in the other version", `${older}/plain`),
  post("an object in the other version", older, {
    apiVersion: "corpus.example.com/v1beta1",
    kind: "Widget",
    metadata: { name: "older" },
    spec: { size: 2 },
  }),
  get("that in the stored version", `${widgets}/older`),
  post(
    "custom: unknown fields are dropped",
    widgets,
    widget("pruned", { size: 1, extra: 1, free: { anything: { goes: true } }, labels: { a: "b" } }, { other: 1 }),
  ),
  post(
    "custom: unknown fields refused",
    `${widgets}?fieldValidation=Strict`,
    widget("strict", { size: 1, extra: 1 }, { other: 1 }),
  ),
  post("custom: unknown fields ignored", `${widgets}?fieldValidation=Ignore`, widget("ignored", { size: 1, extra: 1 })),
  post("custom: without what is required", widgets, widget("bad", {})),
  post("custom: without its spec", widgets, {
    apiVersion: "corpus.example.com/v1",
    kind: "Widget",
    metadata: { name: "specless" },
  }),
  post("custom: a wrong type", widgets, widget("bad", { size: "big" })),
  post("custom: out of bounds", widgets, widget("bad", { size: 11, tags: ["a", "b", "c"], name: "TOOLONG" })),
  post("custom: not of the enum", widgets, widget("bad", { size: 1, color: "blue" })),
  post("custom: an item twice in a set", widgets, widget("bad", { size: 1, tags: ["a", "a"] })),
  post("custom: an item twice in a map", widgets, widget("bad", { size: 1, parts: [{ name: "a" }, { name: "a" }] })),
  post("custom: a number or text", widgets, widget("port", { size: 1, port: "http" })),
  post("custom: neither number nor text", widgets, widget("bad", { size: 1, port: true })),
  post("custom: no time", widgets, widget("bad", { size: 1, when: "now" })),
  post("custom: one of two", widgets, widget("bad", { size: 1, either: {} })),
  post("custom: a rule", widgets, widget("bad", { size: 1, replicas: 2 })),
  post(
    "custom: null where nothing may be",
    widgets,
    widget("nulls", { size: 1, name: null, nothing: null, color: null }),
  ),
  post("custom: a fixed field", widgets, widget("fixed", { size: 1, fixed: "a" })),
  patch("merge", "custom: a change of the fixed field", `${widgets}/fixed`, { spec: { fixed: "b" } }),
  put("custom: a replacement without a version", `${widgets}/plain`, widget("plain", { size: 4 })),
  put("custom: a replacement", `${widgets}/plain`, (earlier) => ({
    ...widget("plain", { size: 5 }),
    metadata: { name: "plain", resourceVersion: earlier("a custom object with defaults").metadata.resourceVersion },
  })),
  patch("merge", "custom: a merge patch", `${widgets}/plain`, { spec: { color: "green" } }),
  patch("strategic", "custom: a strategic patch", `${widgets}/plain`, { spec: { color: "green" } }),
  patch("json", "custom: a JSON patch", `${widgets}/plain`, [{ op: "add", path: "/spec/tags", value: ["a"] }]),
  patch("merge", "custom: a status by the object", `${widgets}/plain`, { status: { ready: 9 } }),
  patch("merge", "custom: a status", `${widgets}/plain/status`, {
    status: { ready: 2, selector: "a=b", extra: 1 },
    spec: { size: 9 },
    metadata: { labels: { no: "t" } },
  }),
  get("custom: a scale", `${widgets}/plain/scale`),
  patch("merge", "custom: a scale up", `${widgets}/plain/scale`, { spec: { replicas: 3 } }),
  patch("merge", "custom: a scale against a rule", `${widgets}/plain/scale`, { spec: { replicas: 30 } }),
  get("custom: after all", `${widgets}/plain`),
  patch(
    "apply",
    "custom: an apply",
    `${widgets}/applied?fieldManager=one`,
    JSON.stringify(widget("applied", { size: 3, parts: [{ name: "a", weight: 1 }], tags: ["x"] })),
  ),
  patch(
    "apply",
    "custom: another's items",
    `${widgets}/applied?fieldManager=two`,
    JSON.stringify(widget("applied", { parts: [{ name: "b" }], tags: ["y"] })),
  ),
  patch(
    "apply",
    "custom: a conflict",
    `${widgets}/applied?fieldManager=two`,
    JSON.stringify(widget("applied", { size: 4, parts: [{ name: "a", weight: 2 }] })),
  ),
  patch(
    "apply",
    "custom: an unknown field applied",
    `${widgets}/applied?fieldManager=two`,
    JSON.stringify(widget("applied", { extra: 1 })),
  ),
  get("custom: a table", widgets, { accept: asTable }),
  get("custom: by a selectable field", `${widgets}?fieldSelector=spec.color%3Dgreen`),
  get("custom: by a field that is not selectable", `${widgets}?fieldSelector=spec.size%3D1`),
  watch(
    "custom: a list as a stream",
    `${widgets}?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=60`,
    "initial-events-end",
  ),
  get("custom: one that is not there", `${widgets}/none`),
  post("custom: the same again", widgets, widget("plain", { size: 1 })),
  post("custom: another kind", widgets, {
    apiVersion: "corpus.example.com/v1",
    kind: "Gadget",
    metadata: { name: "a" },
  }),
  patch(
    "json",
    "a definition becomes stricter",
    `${definitions}/widgets.corpus.example.com`,
    [0, 1].map((index) => ({
      op: "replace",
      path: `/spec/versions/${index}/schema/openAPIV3Schema/properties/spec/properties/size/maximum`,
      value: 4,
    })),
  ),
  {
    ...post("custom: the stricter bound holds", `${widgets}?dryRun=All`, widget("bounded", { size: 5 })),
    waitFor: (body: Json) => body.code === 422,
  },
  patch("merge", "custom: what was there may stay as it is", `${widgets}/plain`, { spec: { color: "red" } }),
  patch("merge", "custom: what changes must be right", `${widgets}/plain`, { spec: { size: 6 } }),

  post("a definition's name that does not fit", definitions, {
    ...definition("gadgets", "Gadget", [plain("v1")]),
    metadata: { name: "gadget.corpus.example.com" },
  }),
  post(
    "a definition without schema",
    definitions,
    definition("gadgets", "Gadget", [{ name: "v1", served: true, storage: true }]),
  ),
  post("a definition of two stored versions", definitions, definition("gadgets", "Gadget", [plain("v1"), plain("v2")])),
  post("a definition of no versions", definitions, definition("gadgets", "Gadget", [])),
  post(
    "a definition that is not structural",
    definitions,
    definition("gadgets", "Gadget", [
      plain("v1", true, { properties: { a: { properties: { b: { type: "string" } } } } }),
    ]),
  ),
  post(
    "a definition of a bad default",
    definitions,
    definition("gadgets", "Gadget", [plain("v1", true, { properties: { a: { type: "string", default: 1 } } })]),
  ),
  post(
    "a definition of a bad rule",
    definitions,
    definition("gadgets0", "Gadget", [
      plain("v1", true, { properties: { a: { type: "string", "x-kubernetes-validations": [{ rule: "self.b" }] } } }),
    ]),
  ),
  post(
    "a definition of too dear a rule",
    definitions,
    definition("gadgets1", "Gadget", [
      plain("v1", true, {
        properties: {
          a: {
            type: "array",
            items: { type: "array", items: { type: "string" } },
            "x-kubernetes-validations": [{ rule: "self.all(x, self.all(y, x.all(z, y.all(w, z.matches(w)))))" }],
          },
        },
      }),
    ]),
  ),
  post(
    "a definition of a bad pattern",
    definitions,
    definition("gadgets2", "Gadget", [plain("v1", true, { properties: { a: { type: "string", pattern: "(" } } })]),
  ),
  post(
    "a definition of bad names",
    definitions,
    definition("gadgets3", "Gad Get", [plain("v1")], { names: { plural: "gadgets3", kind: "Gad Get" } }),
  ),
  patch("merge", "a definition's scope changes", `${definitions}/widgets.corpus.example.com`, {
    spec: { scope: "Cluster" },
  }),
  patch("merge", "a definition's group changes", `${definitions}/widgets.corpus.example.com`, {
    spec: { group: "other.example.com" },
  }),
  get("a definition as a table", `${definitions}/widgets.corpus.example.com`, { accept: asTable }),
  remove("custom: a deletion", `${widgets}/plain`),
  remove("custom: a collection", widgets),
  remove("the definition goes", `${definitions}/widgets.corpus.example.com`),
  {
    ...get("the definition is gone", `${definitions}/widgets.corpus.example.com`),
    waitFor: (body: Json) => body.code === 404,
  },
  { ...get("its kind is gone", widgets), waitFor: (body: Json) => typeof body === "string" || body.code === 404 },
];
