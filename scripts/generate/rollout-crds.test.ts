import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import type { UntypedObject } from "../../src/api/index.ts";
import {
  journalFormatVersion,
  parseCanary,
  parseCheck,
  parseFreeze,
  parseMeshUpgrade,
  type DecisionRecord,
  type JournalEntry,
  type MeantRule,
  type RolloutStatus,
} from "../../src/api/serin/index.ts";
import { createSchemaRegistry, type ResourceType } from "../../src/cluster/schema/index.ts";
import { rolloutDefinitions } from "./rollout-crds.ts";
import { status } from "./rollout-crds/status.ts";
import { knownRules } from "./known-rules.ts";

const registry = createSchemaRegistry();

function typeOf(group: string, version: string, kind: string): ResourceType {
  const type = registry.resourceOfKind(group, version, kind);
  assert.ok(type !== undefined, kind);
  return type;
}

const definitionType = typeOf("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
const definitions = parseAllDocuments(rolloutDefinitions()).map((document) => document.toJS() as UntypedObject);

test("manifests/crds/rollout.yaml equals the output of the schemas", () => {
  assert.equal(
    readFileSync(join(import.meta.dirname, "../../manifests/crds/rollout.yaml"), "utf8"),
    rolloutDefinitions(),
    "run node scripts/generate/rollout-crds.ts",
  );
});

test("the API server knows that the rules of all definitions of the release compile", async () => {
  const known = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../generated/cel/known-rules.json"), "utf8"),
  ) as string[];
  assert.deepEqual(known, await knownRules(), "run node scripts/generate/rollout-crds.ts");
});

// The other CRDs are small and written by hand, so they may be YAML.
for (const file of ["istio", "rollout", "gateway-api", "gateway-api-lab", "gateway-api-standard", "metallb"])
  test(`manifests/crds/${file}.yaml has one line of JSON a document, because YAML takes a hundred times longer`, () => {
    const text = readFileSync(join(import.meta.dirname, "../../manifests/crds", `${file}.yaml`), "utf8");
    const [head = "", ...documents] = text.split(/^---\n/m);
    assert.match(head, /^#.*\n$/);
    assert.ok(documents.length > 0);
    for (const document of documents) assert.match(document, /^\{.*\}\n$/);
  });

for (const definition of definitions) {
  test(`${definition.metadata.name ?? ""}: no unknown field, structural, all rules compile`, () => {
    assert.deepEqual(registry.dropUnknownFields(definitionType, definition), []);
    registry.applyDefaults(definitionType, definition);
    assert.deepEqual(registry.validate(definitionType, definition, undefined), []);
    assert.deepEqual(registry.addCustomResourceDefinition(definition), []);
  });
}

interface Field {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly items?: Field;
}

function undescribed({ properties = {}, items }: Field, path: string): string[] {
  return [
    ...Object.entries(properties).flatMap(([name, field]) => [
      ...(field.description === undefined && name !== "metadata" ? [`${path}.${name}`] : []),
      ...undescribed(field, `${path}.${name}`),
    ]),
    ...(items === undefined ? [] : undescribed(items, path)),
  ];
}

test("kubectl explain has a text for every kind and every field", () => {
  for (const { spec } of definitions as unknown as readonly {
    readonly spec: {
      readonly names: { readonly kind: string };
      readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Field } }[];
    };
  }[]) {
    const schema = spec.versions[0]?.schema.openAPIV3Schema;
    assert.ok((schema?.description ?? "").length > 20, spec.names.kind);
    assert.deepEqual(undescribed(schema ?? {}, spec.names.kind), []);
  }
});

test("kubectl explain knows every field of a rollout's status, and of the rule that it names", () => {
  const fields: Record<keyof RolloutStatus, true> = {
    observedGeneration: true,
    phase: true,
    progress: true,
    phaseSince: true,
    message: true,
    pauseReason: true,
    pausedBy: true,
    startedAt: true,
    endedAt: true,
    step: true,
    completedSteps: true,
    cause: true,
    rolledBackInMs: true,
    run: true,
    candidate: true,
    moves: true,
    meantRule: true,
    ordersBefore: true,
    plannedSteps: true,
    weight: true,
    undo: true,
    groupRun: true,
    journaled: true,
    lostJournal: true,
    namespaces: true,
    conditions: true,
  };
  const rule: Record<keyof MeantRule, true> = {
    route: true,
    rule: true,
    target: true,
    index: true,
    from: true,
    known: true,
    length: true,
  };
  const { properties = {} } = status as Field;
  assert.deepEqual(Object.keys(properties).toSorted(), Object.keys(fields).toSorted());
  assert.deepEqual(Object.keys(properties["meantRule"]?.properties ?? {}).toSorted(), Object.keys(rule).toSorted());
});

test("the API server stores every field of a journal's entry, because it drops those that the definition lacks", () => {
  const object = { apiVersion: "v1", kind: "ConfigMap", plural: "configmaps", name: "c", namespace: "shop" };
  const common = { step: "step-1", object, undoGroup: "group", setup: true };
  const field: Required<Extract<JournalEntry, { type: "field" }>> = {
    ...common,
    type: "field",
    pointer: "/data/a",
    uid: "u",
    prior: { a: 1 },
    written: { a: 2 },
    planned: { a: 5 },
    replaced: { a: 3 },
    replacedPlan: { a: 6 },
    stored: { a: 7 },
    restart: "template",
    adopted: true,
    own: true,
    later: { a: 4 },
    madeParents: 1,
    lacked: 1,
  };
  const created: Required<Extract<JournalEntry, { type: "created" }>> = { ...common, type: "created" };
  const deleted: Required<Extract<JournalEntry, { type: "deleted" }>> = {
    ...common,
    type: "deleted",
    body: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "c" }, data: { a: "1" } },
    lacked: 1,
  };
  const decision: Required<DecisionRecord> = {
    at: "2026-01-01T00:00:00Z",
    run: 1,
    decision: "StepDone",
    step: "step-1",
    message: "done",
    by: "ann",
    evidence: ["fine"],
  };
  const journal = {
    apiVersion: "rollout.serin.dev/v1alpha1",
    kind: "RolloutJournal",
    metadata: { name: "canary.shop.web" },
    formatVersion: journalFormatVersion,
    entries: [field, created, deleted],
    decisions: [decision],
  };
  const type = typeOf("rollout.serin.dev", "v1alpha1", "RolloutJournal");
  assert.deepEqual(registry.dropUnknownFields(type, journal as unknown as UntypedObject), []);
  assert.deepEqual(registry.validate(type, journal as unknown as UntypedObject, undefined), []);
});

const route = { name: "shop", stable: { name: "shop", port: 80 }, canary: { name: "shop-next", port: 80 } };
const canary = (spec: object): object => ({ target: { httpRoute: route }, steps: [{ weight: 10 }], ...spec });
const upgrade = (spec: object): object => ({
  from: { revision: "1-30-3" },
  to: { revision: "1-31-0", install: [{ profile: "ambient" }] },
  ...spec,
});
const freeze = (spec: object): object => ({
  reason: "the holidays",
  windows: [{ start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" }],
  ...spec,
});
const approval = { step: "step-1", by: "ann", why: "looks good", at: "2026-01-31T12:00:00Z" };

/**
 * Specs that both the schema and the parser must accept, or both must refuse. Each has a name, a kind, the spec, and
 * whether it is valid.
 */
const specimens: readonly (readonly [
  title: string,
  kind: "Canary" | "MeshUpgrade" | "Freeze" | "Check",
  spec: object,
  good: boolean,
])[] = [
  ["a route by weight", "Canary", canary({}), true],
  [
    "all that a person may order",
    "Canary",
    canary({
      paused: true,
      abort: false,
      approvals: [approval],
      group: "shop",
      onDeletion: "Leave",
      fullPromotion: { by: "ann" },
      settleTimeoutSeconds: 60,
      notifications: [{ url: "https://example.com/hook", events: ["Stuck"] }],
    }),
    true,
  ],
  [
    "a step of everything that a Deployment can do",
    "Canary",
    canary({
      target: { deployment: { name: "shop", service: "shop", routes: "HTTPRoute", previewService: "shop-preview" } },
      steps: [
        { preview: true, scale: { percent: 50 } },
        { experiment: { durationSeconds: 60 } },
        { match: { cookies: [{ name: "beta", value: "1" }], paths: [{ value: "/" }] }, iterations: { count: 5 } },
        { weight: 100, pause: { untilApproved: true } },
      ],
      dynamicStableScale: true,
    }),
    true,
  ],
  [
    "a VirtualService's route by its name",
    "Canary",
    canary({
      target: {
        virtualService: {
          name: "shop",
          route: "main",
          stable: { host: "shop", subset: "v1" },
          canary: { host: "shop", subset: "v2" },
        },
      },
    }),
    true,
  ],
  [
    "two namespaces",
    "Canary",
    canary({ target: { namespaces: { stable: "a", canary: "b", routes: [{ kind: "HTTPRoute", name: "shop" }] } } }),
    true,
  ],
  [
    "checks by reference and of their own",
    "Canary",
    canary({
      checks: [
        { ref: "latency", namespace: "platform" },
        { type: "request-duration", quantiles: [0.5], maxRatio: 1.5 },
        { type: "query", query: { provider: "mesh", expression: "up" }, min: 1 },
      ],
    }),
    true,
  ],
  ["a check of a type and by reference", "Canary", canary({ checks: [{ ref: "latency", type: "restarts" }] }), false],
  [
    "a query that nothing judges",
    "Canary",
    canary({ checks: [{ type: "query", query: { provider: "mesh", expression: "up" } }] }),
    false,
  ],
  ["two targets", "Canary", canary({ target: { httpRoute: route, grpcRoute: route } }), false],
  ["no target", "Canary", { steps: [{ weight: 10 }] }, false],
  ["no steps", "Canary", canary({ steps: [] }), false],
  ["a step that says nothing", "Canary", canary({ steps: [{ name: "idle" }] }), false],
  ["a weight above 100", "Canary", canary({ steps: [{ weight: 101 }] }), false],
  ["a match of nothing", "Canary", canary({ steps: [{ match: {} }] }), false],
  [
    "scale in two ways",
    "Canary",
    canary({
      target: { deployment: { name: "shop", service: "shop" } },
      steps: [{ scale: { replicas: 1, percent: 10 } }],
    }),
    false,
  ],
  ["scale of a route's backends", "Canary", canary({ steps: [{ scale: { replicas: 1 } }] }), false],
  [
    "one Service twice",
    "Canary",
    canary({ target: { services: { stable: "shop", canary: "shop", port: 80 } } }),
    false,
  ],
  ["an approval by nobody", "Canary", canary({ approvals: [{ step: "step-1", at: approval.at }] }), false],
  ["a hook that is no URL", "Canary", canary({ notifications: [{ url: "example.com" }] }), false],
  [
    "an upgrade by waves",
    "MeshUpgrade",
    upgrade({
      waves: [{ name: "first", namespaces: ["a"], mode: "ScaleFirst", maxUnavailable: 2, soakSeconds: 60 }, {}],
      gateways: { weights: [10, 50], afterWave: 2 },
      waypoints: { weights: [25] },
      ztunnel: { by: "Node" },
    }),
    true,
  ],
  ["an upgrade to a revision that others have installed", "MeshUpgrade", upgrade({ to: { revision: "1-31-0" } }), true],
  ["a root alone", "MeshUpgrade", upgrade({ to: { revision: "1-30-3", root: { secretName: "next" } } }), true],
  ["an upgrade to what is there", "MeshUpgrade", upgrade({ to: { revision: "1-30-3" } }), false],
  ["a wave of an unknown kind", "MeshUpgrade", upgrade({ waves: [{ mode: "Reboot" }] }), false],
  [
    "checks of all kinds",
    "Canary",
    canary({
      checks: [
        { ref: "slo" },
        { type: "request-duration", quantiles: [0.5, 0.99], maxRatio: 1.5 },
        { name: "errors", type: "query", query: { provider: "mesh", expression: "sum(rate(errors[1m]))" }, max: 1 },
      ],
    }),
    true,
  ],
  ["a check that is both", "Canary", canary({ checks: [{ ref: "slo", type: "restarts" }] }), false],
  ["a check of nothing", "Canary", canary({ checks: [{ minSamples: 5 }] }), false],
  [
    "a Check of a Prometheus",
    "Check",
    {
      type: "query",
      query: { provider: "prometheus", address: "http://prometheus:9090", expression: "up" },
      passWhen: "result == 1.0",
    },
    true,
  ],
  ["a Check of an unknown type", "Check", { type: "vibes" }, false],
  [
    "a freeze",
    "Freeze",
    freeze({
      timeZone: "Europe/Berlin",
      exceptions: [{ kind: "Canary", namespace: "shop", name: "fix", reason: "outage" }],
    }),
    true,
  ],
  [
    "a freeze every Friday",
    "Freeze",
    freeze({ windows: [{ start: "2026-01-02T15:00:00", rrule: "FREQ=WEEKLY;BYDAY=FR", durationSeconds: 230_400 }] }),
    true,
  ],
  ["a freeze without an end", "Freeze", freeze({ windows: [{ start: "2026-12-20T18:00:00" }] }), false],
  [
    "a freeze for no reason",
    "Freeze",
    { windows: [{ start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" }] },
    false,
  ],
];

const parsers = { Canary: parseCanary, Check: parseCheck, MeshUpgrade: parseMeshUpgrade, Freeze: parseFreeze };

for (const [title, kind, spec, good] of specimens) {
  test(`${title}: the schema and the parser ${good ? "take" : "refuse"} it`, () => {
    const raw = {
      apiVersion: "rollout.serin.dev/v1alpha1",
      kind,
      metadata: { name: "specimen", ...(kind === "Canary" || kind === "Check" ? { namespace: "default" } : {}) },
      spec,
    };
    const type = typeOf("rollout.serin.dev", "v1alpha1", kind);
    const copy = structuredClone(raw) as unknown as UntypedObject;
    assert.deepEqual(registry.dropUnknownFields(type, copy), []);
    const bySchema = registry.validate(type, copy, undefined);
    assert.equal(bySchema.length === 0, good, JSON.stringify(bySchema));
    const { errors } = parsers[kind](raw);
    assert.equal(errors.length === 0, good, JSON.stringify(errors));
    for (const { path } of errors) assert.match(path, /^spec/);
  });
}
