import { checkTypes } from "../../../src/api/serin/index.ts";
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
const maxLooks = 10_000;
const conditionVariables =
  "result, baseline, canary and stable. Numbers are doubles, so write 5.0. For request-success-rate, tcp-connect-failures and error-log-rate, canary and stable have total, errors and rate; for request-duration they have total, mean, p50, p90 and p99 in milliseconds. For query, result is a number or a list of {labels, value}; for webhook, it is the JSON answer.";
const conditionTypes =
  "Only for the types request-success-rate, request-duration, tcp-connect-failures, error-log-rate, query and webhook.";

const query: Schema = object(
  {
    provider: oneOf(
      ["mesh", "prometheus"],
      "mesh: the metrics that the engine itself scrapes from the mesh, of the last hour. prometheus: the Prometheus at address.",
    ),
    address: url(
      "The base URL of the Prometheus. Required for provider prometheus, and only allowed there. Example: http://prometheus.istio-system:9090.",
    ),
    headers: stringMap(
      "Headers of the requests to the Prometheus, only for provider prometheus. Everybody who may read this object can read them. Example: {X-Scope-OrgID: shop}.",
    ),
    expression: expression(
      'The query in PromQL. Its result must be a number or an instant vector. The engine replaces {{ canary.X }} and {{ stable.X }}, where X is service, namespace, workload or revision, and {{ window }}, the time since the step settled. Example: sum(rate(istio_requests_total{destination_service_name="{{ canary.service }}"}[{{ window }}])).',
    ),
    baseline: expression(
      "A second query, whose result is the variable baseline in passWhen and failWhen. The engine replaces the same names as in expression.",
    ),
    timeoutSeconds: integer(
      1,
      60,
      "For provider prometheus: how long it may take for an answer, in seconds. Default: 5.",
    ),
  },
  ["provider", "expression"],
  {
    description: "The query of a check of type query. A result without data makes the check wait.",
    ...rules([
      "(self.provider == 'prometheus') == has(self.address)",
      "address is required for provider prometheus, and only allowed there",
    ]),
  },
);

const webhook: Schema = object(
  {
    url: url(
      "The URL that is called: http or https. For a Canary, it must be a Service of the Canary's own namespace, or a host that the installation allows (ALLOWED_HOSTS of the engine). Example: http://gate.shop/check.",
    ),
    method: oneOf(["POST", "PUT", "GET"], "The method of the request. A GET has no body. Default: POST."),
    headers: stringMap("Headers of the request. Everybody who may read this object can read them."),
    body: anyObject(
      "Members of the JSON body, in addition to rollout, step, canary, stable and window. A member of the same name replaces the engine's. Example: {team: shop}.",
    ),
    timeoutSeconds: integer(1, 60, "How long the server may take for an answer, in seconds. Default: 10."),
  },
  ["url"],
  {
    description:
      'The call of a check of type webhook. The request has {rollout, step, canary, stable, window} and the members of body as JSON. The answer {"verdict": "pass", "evidence": "text"} decides, where the verdict is pass, fail, wait or error. Without a verdict, passWhen and failWhen decide, and without them the status: 200 to 299 passes. A status of 500 and above, 408, 425, 429 or a redirect is no answer.',
  },
);

const fields: Readonly<Record<string, Schema>> = {
  name: name(
    "The name of the check in the status and in messages. It must be unique in its list. Default: the type, or the name in ref.",
    checkNameLength,
  ),
  type: oneOf(
    checkTypes,
    "What the check measures. serin check explain TYPE describes each type. Exactly one of type and ref is required in a rollout.",
  ),
  minSamples: integer(
    1,
    10_000_000,
    "The number of samples of the canary, such as requests, that the check needs before it can pass. With fewer it waits. More samples rule out lower error rates: 120 without an error rule out 4 %. Only for the request types, tcp-connect-failures, error-log-rate and mtls-probe-matrix. Default: 120.",
  ),
  maxErrorRate: number(
    "The highest error rate that is allowed if there is no stable version to compare with, as a share of 1. The check fails if the measured rate is higher by more than chance explains. Only for request-success-rate, tcp-connect-failures, error-log-rate and mtls-probe-matrix. Example: 0.01 means 1 %. Default: 0.005.",
    { minimum: 0, maximum: 1, exclusiveMinimum: true, exclusiveMaximum: true },
  ),
  shareTolerance: integer(
    1,
    100,
    "For type request-share: how far the canary's measured share of requests may be from its weight, in percentage points. Default: 10.",
  ),
  timeoutSeconds: integer(
    1,
    86_400,
    "How long the check may get no answer before it fails, in seconds. For xds-convergence, pod-health and certificate-roots also how long it may wait. If another check gets no new sample for this time, the rollout is Stuck until one arrives. Default: 600.",
  ),
  intervalSeconds: integer(
    0,
    86_400,
    "The time between two measurements, in seconds. 0 means at each round of the engine. Default: 1 for request-duration, 2 for error-log-rate, 5 for query and webhook, and 0 for the other types.",
  ),
  count: integer(1, maxLooks, "The number of measurements in a row that must pass. Default: 1."),
  failureLimit: integer(
    0,
    maxLooks,
    "The number of measurements that may fail before the check fails. After each failure, the check counts its samples anew. Default: 0.",
  ),
  errorLimit: integer(
    0,
    maxLooks,
    "The number of measurements in a row that may get no answer before the check fails. Default: no limit but timeoutSeconds.",
  ),
  waitLimit: integer(
    0,
    maxLooks,
    "The number of measurements in a row that may have to wait, for example for samples, before the check fails. Default: no limit.",
  ),
  dryRun: flag("true: the verdict is recorded, and has no effect on the rollout. Default: false."),
  quantiles: list(number("", { minimum: 0, maximum: 1, exclusiveMinimum: true, exclusiveMaximum: true }), 8, {
    minItems: 1,
    description:
      "For type request-duration: the quantiles that are compared. 0.99 is the duration that 99 % of the requests do not exceed. Default: 0.5, 0.9, 0.99.",
  }),
  maxRatio: number(
    "For type request-duration: the factor by which the canary may be slower than the stable version. The check fails if a quantile is slower by this factor, and by more than chance explains. Default: 1.2.",
    { minimum: 1, maximum: 1000 },
  ),
  maxMs: number(
    "For type request-duration: the limit for each quantile of the canary in milliseconds, whatever the stable version needs. Default: no limit.",
    { minimum: 0, exclusiveMinimum: true },
  ),
  query,
  webhook,
  passWhen: expression(
    `A CEL expression. The check passes when it is true. When it is false, the check fails, or waits if failWhen is set. ${conditionTypes} Its variables are ${conditionVariables} Example: canary.rate < 0.01.`,
  ),
  failWhen: expression(
    `A CEL expression. The check fails when it is true. ${conditionTypes} It has the same variables as passWhen. Example: result > 2.0 * baseline.`,
  ),
  min: number("For type query: the check fails when the result is below this number. Default: no limit."),
  max: number(
    "For type query: the check fails when the result is above this number. It must not be below min. Default: no limit.",
  ),
  roots: list(text("", { pattern: "^[0-9a-fA-F:]{64,95}$" }), 16, {
    description:
      "For type certificate-roots: the SHA-256 fingerprints of the root certificates that every proxy must trust, each as 64 hex digits with or without colons. Each proxy's own certificate must be signed by one of them. Default: all proxies must trust one common root.",
  }),
};

const typeRules = [
  ["(self.type == 'query') == has(self.query)", "query is required for type query, and only allowed there"],
  ["(self.type == 'webhook') == has(self.webhook)", "webhook is required for type webhook, and only allowed there"],
  [
    "self.type != 'query' || has(self.passWhen) || has(self.failWhen) || has(self.min) || has(self.max)",
    "type query needs at least one of passWhen, failWhen, min and max, which decide about its result",
  ],
  ["!has(self.min) || !has(self.max) || self.min <= self.max", "min must not be above max"],
] as const;

/** The schema of a check, which `parseCheckSpec` parses. */
export const check: Schema = object(fields, ["type"], {
  description: "A check that Canaries and MeshUpgrades name by ref: NAME in their checks.",
  ...rules(...typeRules),
});

const guarded = typeRules.map(([rule, message]) => [`has(self.ref) || !has(self.type) || (${rule})`, message] as const);

const item: Schema = object(
  {
    ...fields,
    ref: name(
      "The name of a Check, whose fields this check has. Only name, namespace and dryRun can be set beside ref.",
      objectNameLength,
    ),
    namespace: name(
      "The namespace of the Check in ref. Default: the namespace of the rollout, or istio-system for a MeshUpgrade.",
      objectNameLength,
    ),
  },
  [],
  rules(["has(self.ref) != has(self.type)", "must have exactly one of type and ref"], ...guarded),
);

/** Returns the schema of a list of checks. The description says when they are judged. */
export function checks(description: string): Schema {
  return { type: "array", description, items: item, maxItems: 32 };
}
