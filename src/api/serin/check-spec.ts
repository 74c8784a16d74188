import { headerNameFault } from "../istio/expressions/http-headers.ts";
import { areRepeated, type Reader } from "../reader.ts";
import { conditionProblem } from "./check-condition.ts";
import { warnOfCheckFields } from "./check-effects.ts";
import { objectName, optionalName } from "./object-name.ts";
import { templateNames, unknownTemplateNames } from "./check-template.ts";
import { checkTypes, type CheckType } from "./check-type.ts";

/** A check that a step must pass before the next step starts. The parser fills in every default. */
export interface CheckSpec {
  /** Absent means that the check's name is its type. */
  readonly name?: string;
  readonly type: CheckType;
  /** The minimum number of canary samples. With fewer, the check waits and does not pass. */
  readonly minSamples: number;
  /**
   * The highest error rate if there is no stable version to compare with, from 0 to 1. The check fails if the rate is
   * significantly higher.
   */
  readonly maxErrorRate: number;
  /** The allowed difference between the canary's measured share and its configured weight, in percentage points. */
  readonly shareTolerance: number;
  /** How long a check may have no answer, or proxies may not converge, before it fails. */
  readonly timeoutSeconds: number;
  /** The time between two measurements. 0 means that it measures each time the engine looks. */
  readonly intervalSeconds?: number;
  /** The number of consecutive measurements that must pass. */
  readonly count?: number;
  /** The number of measurements that may fail. If one more fails, the check fails. */
  readonly failureLimit?: number;
  /**
   * The number of consecutive measurements that may have no answer. Absent means that only `timeoutSeconds` applies.
   */
  readonly errorLimit?: number;
  /**
   * The number of consecutive measurements that may be inconclusive. Absent means that the check waits for traffic
   * without limit.
   */
  readonly waitLimit?: number;
  /** Whether the verdict is only recorded and has no effect. */
  readonly dryRun?: boolean;
  /** The quantiles of durations that are compared, in ascending order. */
  readonly quantiles?: readonly number[];
  /** The highest ratio of the canary's durations to those of the stable version. */
  readonly maxRatio?: number;
  /** The limit for every compared quantile in milliseconds, whatever the stable version's durations are. */
  readonly maxMs?: number;
  readonly query?: QuerySpec;
  readonly webhook?: WebhookSpec;
  /** A CEL expression over `result`, `baseline`, `canary` and `stable`. */
  readonly passWhen?: string;
  readonly failWhen?: string;
  /** The lowest and highest result of the query with which the check passes. */
  readonly min?: number;
  readonly max?: number;
  /**
   * SHA-256 fingerprints, in hex, of the roots that every proxy must trust and that its certificate must chain to.
   * Empty means the roots of the subject's control planes.
   */
  readonly roots?: readonly string[];
  /** Refers to a Check. {@link resolveChecks} replaces it with the Check's content. */
  readonly ref?: CheckReference;
}

export interface CheckReference {
  readonly name: string;
  /** Absent means the rollout's namespace. */
  readonly namespace?: string;
}

/** A PromQL query, over the mesh metrics that the engine scrapes (`mesh`) or over a Prometheus. */
export interface QuerySpec {
  readonly provider: "mesh" | "prometheus";
  readonly address?: string;
  /** Headers of requests to the Prometheus, such as `X-Scope-OrgID` or `Authorization`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The PromQL expression. It may contain names in double braces: see {@link templateNames}. */
  readonly expression: string;
  /** A second query, for `baseline` in conditions. */
  readonly baseline?: string;
  readonly timeoutSeconds: number;
}

/** An HTTP request with `{rollout, step, canary, stable, window}` as JSON, together with the members of `body`. */
export interface WebhookSpec {
  readonly url: string;
  readonly method: "POST" | "PUT" | "GET";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly timeoutSeconds: number;
}

export const checkDefaults = {
  minSamples: 120,
  maxErrorRate: 0.005,
  shareTolerance: 10,
  timeoutSeconds: 600,
  count: 1,
  failureLimit: 0,
  dryRun: false,
  quantiles: [0.5, 0.9, 0.99],
  maxRatio: 1.2,
} as const;

/** In seconds. Checks of other types measure at each look. */
const defaultIntervals: Partial<Record<CheckType, number>> = {
  "request-duration": 1,
  "error-log-rate": 2,
  query: 5,
  webhook: 5,
};

/** The default number of seconds between two measurements. 0 means that a check measures each time the engine looks. */
export function defaultIntervalSeconds(type: CheckType): number {
  return defaultIntervals[type] ?? 0;
}

const maxChecks = 32;
/** Tables and messages contain the names of checks. */
const maxCheckNameLength = 63;
const maxSeconds = 86_400;
const maxLooks = 10_000;
const maxQuantiles = 8;
const maxQueryTimeoutSeconds = 60;
const conditionTypes: readonly CheckType[] = [
  "request-success-rate",
  "request-duration",
  "tcp-connect-failures",
  "error-log-rate",
  "query",
  "webhook",
];

export function parseChecks(owner: Reader, field: string): readonly CheckSpec[] {
  const entries = owner.objects(field);
  if (entries.length > maxChecks) owner.error(`must have at most ${maxChecks} entries, got ${entries.length}`, field);
  const checks = entries
    .slice(0, maxChecks)
    .map((check) => (check.has("ref") ? parseReference(check) : parseCheckSpec(check)));
  const names = checks.map((check) => check.name ?? check.type);
  const repeated = areRepeated(names);
  names.forEach((name, index) => {
    if (checks[index]?.ref === undefined && repeated[index] === true)
      owner.error(
        `has the name ${name}, like ${field}[${names.indexOf(name)}]: give one of them another name`,
        `${field}[${index}]`,
      );
  });
  return checks;
}

function parseReference(check: Reader): CheckSpec {
  const name = optionalName(check, "name", maxCheckNameLength);
  const ref = objectName(check, "ref");
  const namespace = optionalName(check, "namespace");
  const dryRun = check.boolean("dryRun");
  check.unknownFields((field) => check.error("cannot be combined with ref: the Check sets it", field));
  return {
    ...checkDefaults,
    dryRun: dryRun ?? false,
    name: name ?? ref,
    type: "approval",
    ref: { name: ref, ...(namespace === undefined ? {} : { namespace }) },
  };
}

export function parseCheckSpec(check: Reader): CheckSpec {
  const type = check.required("type", check.oneOf("type", checkTypes)) ?? "request-success-rate";
  const name = optionalName(check, "name", maxCheckNameLength);
  const optional = {
    errorLimit: check.integer("errorLimit", 0, maxLooks),
    waitLimit: check.integer("waitLimit", 0, maxLooks),
    maxMs: positive(check, "maxMs"),
    query: parseQuery(check),
    webhook: parseWebhook(check),
    passWhen: condition(check, "passWhen"),
    failWhen: condition(check, "failWhen"),
    min: check.number("min"),
    max: check.number("max"),
    roots: roots(check),
  };
  const result: CheckSpec = {
    name: name ?? type,
    type,
    minSamples: check.integer("minSamples", 1, 10_000_000) ?? checkDefaults.minSamples,
    maxErrorRate: share(check, "maxErrorRate") ?? checkDefaults.maxErrorRate,
    shareTolerance: check.integer("shareTolerance", 1, 100) ?? checkDefaults.shareTolerance,
    timeoutSeconds: check.integer("timeoutSeconds", 1, maxSeconds) ?? checkDefaults.timeoutSeconds,
    intervalSeconds: check.integer("intervalSeconds", 0, maxSeconds) ?? defaultIntervalSeconds(type),
    count: check.integer("count", 1, maxLooks) ?? checkDefaults.count,
    failureLimit: check.integer("failureLimit", 0, maxLooks) ?? checkDefaults.failureLimit,
    dryRun: check.boolean("dryRun") ?? checkDefaults.dryRun,
    quantiles: quantiles(check) ?? checkDefaults.quantiles,
    maxRatio: ratio(check) ?? checkDefaults.maxRatio,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
  checkFit(check, result);
  warnOfCheckFields(check, type);
  check.unknownFields();
  return result;
}

function checkFit(check: Reader, spec: CheckSpec): void {
  const { type } = spec;
  for (const field of ["query", "webhook"] as const) {
    if (type === field && spec[field] === undefined && !check.has(field))
      check.error(`is required by type ${field}`, field);
    if (type !== field && check.has(field)) check.error(`is only for type ${field}, got type ${type}`, field);
  }
  for (const field of ["quantiles", "maxRatio", "maxMs"])
    if (type !== "request-duration" && check.has(field))
      check.error(`is only for type request-duration, got type ${type}`, field);
  if (type !== "certificate-roots" && check.has("roots"))
    check.error(`is only for type certificate-roots, got type ${type}`, "roots");
  for (const field of ["min", "max"])
    if (type !== "query" && check.has(field)) check.error(`is only for type query, got type ${type}`, field);
  for (const field of ["passWhen", "failWhen"]) {
    if (!conditionTypes.includes(type) && check.has(field))
      check.error(`is only for the types ${conditionTypes.join(", ")}, got type ${type}`, field);
  }
  if (spec.min !== undefined && spec.max !== undefined && spec.min > spec.max)
    check.error(`must not be above max (${spec.max}), got ${spec.min}`, "min");
  const judged = ["passWhen", "failWhen", "min", "max"].some((field) => check.has(field));
  if (type === "query" && !judged) check.error("needs a judgement: passWhen, failWhen, min or max");
}

function positive(check: Reader, field: string): number | undefined {
  const value = check.number(field);
  if (value !== undefined && value <= 0) check.error(`must be above 0, got ${value}`, field);
  return value;
}

function share(check: Reader, field: string): number | undefined {
  const value = check.number(field);
  if (value !== undefined && (value <= 0 || value >= 1))
    check.error(`must be above 0 and below 1, got ${value}`, field);
  return value;
}

function ratio(check: Reader): number | undefined {
  const value = check.number("maxRatio");
  if (value !== undefined && (value < 1 || value > 1000))
    check.error(`must be from 1 to 1000, got ${value}`, "maxRatio");
  return value;
}

function quantiles(check: Reader): readonly number[] | undefined {
  if (!check.has("quantiles")) return undefined;
  const elements = check.list("quantiles");
  if (elements.length === 0 || elements.length > maxQuantiles)
    check.error(`must have from 1 to ${maxQuantiles} entries, got ${elements.length}`, "quantiles");
  const values = elements.flatMap((element) => {
    if (typeof element.raw === "number" && element.raw > 0 && element.raw < 1) return [element.raw];
    element.error(`must be above 0 and below 1, such as 0.99, got ${JSON.stringify(element.raw)}`);
    return [];
  });
  return [...new Set(values)].toSorted((left, right) => left - right);
}

const fingerprint = /^[0-9a-f]{64}$/;

function roots(check: Reader): readonly string[] | undefined {
  if (!check.has("roots")) return undefined;
  return check.strings("roots").map((text, index) => {
    const hex = text.replaceAll(":", "").toLowerCase();
    if (!fingerprint.test(hex))
      check.error(`must be a SHA-256 fingerprint of 64 hex digits, got "${text}"`, `roots[${index}]`);
    return hex;
  });
}

function condition(check: Reader, field: string): string | undefined {
  const expression = check.string(field);
  const problem = expression === undefined ? undefined : conditionProblem(expression);
  if (problem !== undefined) check.error(problem, field);
  return expression;
}

function parseQuery(check: Reader): QuerySpec | undefined {
  const query = check.object("query");
  if (query === undefined) return undefined;
  const provider = query.required("provider", query.oneOf("provider", ["mesh", "prometheus"])) ?? "mesh";
  const address = url(query, "address");
  if (provider === "prometheus" && !query.has("address"))
    query.error("is required by provider prometheus, such as http://prometheus.istio-system:9090", "address");
  if (provider === "mesh" && query.has("address"))
    query.error("is only for provider prometheus; remove it, or set provider: prometheus", "address");
  if (provider === "mesh" && query.has("headers"))
    query.error("is only for provider prometheus; remove it, or set provider: prometheus", "headers");
  const headers = requestHeaders(query);
  const expression = query.required("expression", template(query, "expression")) ?? "";
  const baseline = template(query, "baseline");
  const timeoutSeconds = query.integer("timeoutSeconds", 1, maxQueryTimeoutSeconds) ?? 5;
  query.unknownFields();
  return {
    provider,
    expression,
    timeoutSeconds,
    ...(address === undefined ? {} : { address }),
    ...(Object.keys(headers).length === 0 ? {} : { headers }),
    ...(baseline === undefined ? {} : { baseline }),
  };
}

function parseWebhook(check: Reader): WebhookSpec | undefined {
  const webhook = check.object("webhook");
  if (webhook === undefined) return undefined;
  const result: WebhookSpec = {
    url: webhook.required("url", url(webhook, "url")) ?? "",
    method: webhook.oneOf("method", ["POST", "PUT", "GET"]) ?? "POST",
    headers: requestHeaders(webhook),
    body: webhook.freeForm("body") ?? {},
    timeoutSeconds: webhook.integer("timeoutSeconds", 1, maxQueryTimeoutSeconds) ?? 10,
  };
  webhook.unknownFields();
  return result;
}

/** Headers that affect routing, framing or identity. A check may not set them. */
const refusedHeaders =
  /^(host|connection|keep-alive|te|trailer|transfer-encoding|content-length|upgrade|expect|proxy-.*|forwarded|x-forwarded-.*|x-envoy-.*|x-aws-ec2-.*|metadata|metadata-flavor|x-google-metadata-request|impersonate-.*|x-remote-.*)$/i;

const headerValue = /^[\t\u{20}-\u{7e}\u{80}-\u{ff}]*$/u;

function requestHeaders(request: Reader): Readonly<Record<string, string>> {
  const headers = request.stringMap("headers");
  for (const [name, value] of Object.entries(headers)) {
    const fault = headerNameFault(name);
    if (fault !== undefined) request.error(fault, `headers.${name}`);
    if (refusedHeaders.test(name)) request.error("is a header that only the engine may set", `headers.${name}`);
    if (!headerValue.test(value))
      request.error(
        `must be the value of a header, without line breaks, got ${JSON.stringify(value)}`,
        `headers.${name}`,
      );
  }
  return headers;
}

function url(reader: Reader, field: string): string | undefined {
  const text = reader.string(field);
  if (text !== undefined && !(URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)))
    reader.error(`must be an http or https URL, got "${text}"`, field);
  return text;
}

function template(reader: Reader, field: string): string | undefined {
  const text = reader.string(field);
  if (text === "") reader.error("must not be empty", field);
  for (const name of unknownTemplateNames(text ?? ""))
    reader.error(`uses the unknown name {{ ${name} }}; known: ${templateNames.join(", ")}`, field);
  return text;
}
