import { checkTypes } from "../../src/api/serin/index.ts";
import {
  anyObject,
  flag,
  integer,
  list,
  number,
  object,
  oneOf,
  rules,
  stringMap,
  text,
  type Schema,
} from "./schema.ts";

const expression = (description: string): Schema => text(description, { minLength: 1, maxLength: 16_384 });
const url = (description: string): Schema => text(description, { pattern: "^https?://", maxLength: 2048 });
const name = (description: string, maxLength: number): Schema =>
  text(description, { pattern: "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", maxLength });
const checkNameLength = 63;
const objectNameLength = 253;
const looks = (description: string): Schema => integer(0, 10_000, description);

const query: Schema = object(
  {
    provider: oneOf(
      ["mesh", "prometheus"],
      "mesh: the metrics that the engine scrapes itself; no Prometheus is needed.",
    ),
    address: url("Base URL of the Prometheus."),
    headers: stringMap(),
    expression: expression(
      "PromQL; {{ canary.service }}, {{ stable.namespace }}, {{ window }} and the like are replaced.",
    ),
    baseline: expression("A second query, for baseline in conditions."),
    timeoutSeconds: integer(1, 60),
  },
  ["provider", "expression"],
  rules([
    "(self.provider == 'prometheus') == has(self.address)",
    "provider prometheus needs an address, provider mesh has none",
  ]),
);

const webhook: Schema = object(
  {
    url: url("Gets {rollout, step, canary, stable, window} as JSON."),
    method: oneOf(["POST", "PUT", "GET"]),
    headers: stringMap(),
    body: anyObject("Sent besides."),
    timeoutSeconds: integer(1, 60),
  },
  ["url"],
);

const fields: Readonly<Record<string, Schema>> = {
  name: name("How it is called; its type when absent.", checkNameLength),
  type: oneOf(checkTypes, "What is judged."),
  minSamples: integer(1, 10_000_000, "Samples of the canary that must have been seen; fewer means wait, never pass."),
  maxErrorRate: number(
    "Where no stable version takes requests to compare with, a rate that is provably above this fails.",
    { minimum: 0, maximum: 1, exclusiveMinimum: true, exclusiveMaximum: true },
  ),
  shareTolerance: integer(1, 100, "How far the measured share may be from the weight, in percentage points."),
  timeoutSeconds: integer(1, 86_400, "How long a check may be without an answer."),
  intervalSeconds: integer(0, 86_400, "Time between two looks."),
  count: integer(1, 10_000, "Looks that must pass one after another."),
  failureLimit: looks("Looks that may fail."),
  errorLimit: looks("Looks that may be without an answer, one after another."),
  waitLimit: looks("Looks that may have to wait, one after another."),
  dryRun: flag("The verdict is recorded, and never acted on."),
  quantiles: list(number("", { minimum: 0, maximum: 1, exclusiveMinimum: true, exclusiveMaximum: true }), 8, {
    minItems: 1,
    description: "Of durations: which are compared.",
  }),
  maxRatio: number("Of durations: a canary that is slower by less than this factor is not failed.", {
    minimum: 1,
    maximum: 1000,
  }),
  maxMs: number("Of durations: none of the quantiles may be above it.", { minimum: 0, exclusiveMinimum: true }),
  query,
  webhook,
  passWhen: expression("CEL over result, baseline, canary and stable."),
  failWhen: expression("CEL over result, baseline, canary and stable."),
  min: number("The result of a query must not be below."),
  max: number("The result of a query must not be above."),
  roots: list(text("", { pattern: "^[0-9a-fA-F:]{64,95}$" }), 16, {
    description: "SHA-256 fingerprints of the roots that all must trust.",
  }),
};

const typeRules = [
  ["(self.type == 'query') == has(self.query)", "query is required by type query, and is only for it"],
  ["(self.type == 'webhook') == has(self.webhook)", "webhook is required by type webhook, and is only for it"],
  [
    "self.type != 'query' || has(self.passWhen) || has(self.failWhen) || has(self.min) || has(self.max)",
    "a query needs a judgement: passWhen, failWhen, min or max",
  ],
  ["!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max"],
] as const;

/** The fields of a check (`parseCheckSpec`). */
export const check: Schema = object(fields, ["type"], rules(...typeRules));

const guarded = typeRules.map(([rule, message]) => [`has(self.ref) || !has(self.type) || (${rule})`, message] as const);

const item: Schema = object(
  {
    ...fields,
    ref: name("Name of a Check that stands for all of this.", objectNameLength),
    namespace: name("Of the Check; the rollout's own when absent.", objectNameLength),
  },
  [],
  rules(["has(self.ref) != has(self.type)", "exactly one of type and ref"], ...guarded),
);

export const checks: Schema = { type: "array", description: "What must be seen.", items: item, maxItems: 32 };
