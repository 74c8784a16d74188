import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAllDocuments } from "yaml";
import { parseCanary, parseCheck, parseFreeze, parseMeshUpgrade } from "../../../src/api/serin/index.ts";
import { rolloutDefinitions } from "../rollout-crds.ts";

interface Field {
  readonly description?: string;
  readonly type?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, Field>>;
  readonly items?: Field;
}

interface Definition {
  readonly spec: {
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Field } }[];
  };
}

const schemas = new Map(
  parseAllDocuments(rolloutDefinitions()).map((document) => {
    const { spec } = document.toJS() as Definition;
    return [spec.names.kind, spec.versions[0]?.schema.openAPIV3Schema.properties?.["spec"] ?? {}];
  }),
);
const parsers = { Canary: parseCanary, MeshUpgrade: parseMeshUpgrade, Check: parseCheck, Freeze: parseFreeze };
type Kind = keyof typeof parsers;

function parsed(kind: Kind, spec: unknown): { readonly spec: unknown; readonly errors: readonly string[] } {
  const { value, errors } = parsers[kind]({ metadata: { name: "specimen" }, spec });
  return { spec: value?.spec, errors: errors.map(({ path, message }) => `${path}: ${message}`) };
}

const backends = { stable: { name: "web", port: 80 }, canary: { name: "web-next", port: 80 } };
const hosts = { stable: { host: "web", subset: "v1" }, canary: { host: "web", subset: "v2" } };
const query = { provider: "mesh", expression: "up" };
const check = { type: "query", query, min: 1 };
const webhookCheck = { type: "webhook", webhook: { url: "http://gate.shop/" } };
const order = { by: "ann", at: "2026-01-31T12:00:00Z" };

/** Specs in which every object with fields is present, and every other optional field is absent. */
const shortSpecs: readonly (readonly [kind: Kind, spec: object])[] = [
  [
    "Canary",
    {
      target: { httpRoute: { name: "web", ...backends } },
      steps: [
        {
          match: {
            headers: [{ name: "a", value: "b" }],
            queryParams: [{ name: "a", value: "b" }],
            paths: [{ value: "/" }],
          },
        },
        { weight: 10, mirror: {}, iterations: { count: 2 }, checks: [check, webhookCheck] },
      ],
      sessionAffinity: {},
      notifications: [{ url: "http://hooks.shop/" }],
      orderedBy: order,
      approvals: [{ ...order, step: "step-1" }],
      fullPromotion: { by: "ann" },
    },
  ],
  ["Canary", { target: { grpcRoute: { name: "web", ...backends } }, steps: [{ weight: 10 }] }],
  ["Canary", { target: { virtualService: { name: "web", ...hosts } }, steps: [{ weight: 10 }] }],
  [
    "Canary",
    {
      target: { deployment: { name: "web", service: "web", canaryMetadata: {} } },
      steps: [{ experiment: { durationSeconds: 60 } }, { weight: 10, pause: { durationSeconds: 1 } }],
    },
  ],
  ["Canary", { target: { services: { stable: "web", canary: "web-next", port: 80 } }, steps: [{ weight: 10 }] }],
  [
    "MeshUpgrade",
    {
      from: { revision: "old" },
      to: { revision: "new", root: { secretName: "next" } },
      scope: {},
      waves: [{ checks: [check] }],
      ztunnel: {},
      gateways: {},
      waypoints: {},
    },
  ],
  ["Check", check],
  ["Check", webhookCheck],
  ["Check", { type: "request-duration" }],
  [
    "Freeze",
    {
      reason: "peak",
      windows: [{ start: "2026-12-20T18:00:00", end: "2027-01-04T08:00:00" }],
      exceptions: [{ kind: "Canary", name: "fix", reason: "outage" }],
    },
  ],
];

/** Fields whose default is not a fixed value. Their descriptions explain it. */
const explained = [
  "check.name",
  "checks.name",
  "check.intervalSeconds",
  "checks.intervalSeconds",
  "waves.name",
  "services.service",
];

function isEmpty(value: unknown): boolean {
  return value === undefined || value === "" || (typeof value === "object" && Object.keys(value ?? {}).length === 0);
}

/** Finds descriptions whose default differs from the one that the parser fills in. */
function wrongDefaults(field: Field, raw: unknown, filled: unknown, path: string): string[] {
  if (Array.isArray(raw) && field.items !== undefined) {
    const { items } = field;
    const values = filled as readonly unknown[];
    return raw.flatMap((element, index) => wrongDefaults(items, element, values[index], path));
  }
  return Object.entries(field.properties ?? {}).flatMap(([name, below]) => {
    const at = `${path}.${name}`;
    const given = (raw as Record<string, unknown>)[name];
    const value = (filled as Record<string, unknown>)[name];
    if (given !== undefined) return wrongDefaults(below, given, value, at);
    const isObject = below.properties !== undefined;
    if (isEmpty(value) || isObject || explained.some((end) => at.endsWith(`.${end}`))) return [];
    const [, text] = /Default: (.*?)\.(?: |$)/.exec(below.description ?? "") ?? [];
    const expected = Array.isArray(value) ? value.join(", ") : String(value);
    const isAll = Array.isArray(value) && (text === "all of them" || text === "both");
    return text === expected || isAll ? [] : [`${at}: ${text ?? "no default"} instead of ${expected}`];
  });
}

for (const [kind, spec] of shortSpecs)
  test(`kubectl explain states the defaults that the parser fills in: ${kind} ${JSON.stringify(spec).slice(0, 60)}`, () => {
    const { spec: filled, errors } = parsed(kind, spec);
    assert.deepEqual(errors, []);
    assert.deepEqual(wrongDefaults(schemas.get(kind) ?? {}, spec, filled, kind === "Check" ? "Check.check" : kind), []);
  });

/** Returns the paths of all whole numbers with limits in the specs, as lists of keys. */
function numbersIn(
  field: Field,
  value: unknown,
  at: readonly string[] = [],
): { readonly at: readonly string[]; readonly field: Field }[] {
  if (Array.isArray(value) && field.items !== undefined) {
    const { items } = field;
    return value.flatMap((element, index) => numbersIn(items, element, [...at, String(index)]));
  }
  return Object.entries(field.properties ?? {}).flatMap(([name, below]) => {
    const given = (value as Record<string, unknown>)[name];
    if (below.type === "integer" && below.maximum !== undefined) return [{ at: [...at, name], field: below }];
    return given === undefined ? [] : numbersIn(below, given, [...at, name]);
  });
}

function withValue(spec: object, at: readonly string[], value: unknown): object {
  const copy = structuredClone(spec) as Record<string, unknown>;
  const last = at.at(-1) ?? "";
  let owner = copy;
  for (const key of at.slice(0, -1)) owner = owner[key] as Record<string, unknown>;
  owner[last] = value;
  return copy;
}

/** Numbers whose limits also depend on other fields. */
const dependent = ["steps.0.weight", "steps.1.weight", "gateways.afterWave"];

test("kubectl explain states the limits of whole numbers that the parser enforces", () => {
  let checked = 0;
  for (const [kind, spec] of shortSpecs)
    for (const { at, field } of numbersIn(schemas.get(kind) ?? {}, spec)) {
      const { minimum = 0, maximum = 0, description = "" } = field;
      const path = at.join(".");
      assert.match(description, new RegExp(`From ${minimum}( \\(.*?\\))? to ${maximum}\\b`), path);
      const faults = (value: number): boolean =>
        parsed(kind, withValue(spec, at, value)).errors.some((error) => /must be from -?\d+ to/.test(error));
      assert.ok(
        faults(minimum - 1) && faults(maximum + 1),
        `${kind} ${path}: the parser allows more than ${minimum} to ${maximum}`,
      );
      if (!dependent.includes(path))
        assert.ok(
          !faults(minimum) && !faults(maximum),
          `${kind} ${path}: the parser allows less than ${minimum} to ${maximum}`,
        );
      checked += 1;
    }
  assert.ok(checked > 60, `${checked}`);
});
