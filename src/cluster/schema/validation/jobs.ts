import { matchesLabelSelector } from "../../../api/index.ts";
import { jsonEqual, stringOf } from "../../../base/index.ts";
import { isTimeZone } from "../../../base/zoned-time/index.ts";
import { parseCronExpression } from "../cron-expression.ts";
import { fieldErrors, omitted } from "../field-error.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkQualifiedName } from "../names.ts";
import type { Check } from "./check.ts";
import type { KindValidators } from "./kind-validator.ts";
import { validatePodTemplate } from "./pod-spec.ts";

function job(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  jobSpec(spec, "spec", check);
  if (old === undefined) return ownSelector(object, check);
  const previous = objectOf(old.spec);
  check.immutable("spec.selector", spec.selector, previous.selector);
  for (const field of ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"])
    check.immutable(`spec.${field}`, spec[field], previous[field]);
  if (previous.suspend !== true || spec.suspend !== true)
    check.immutable("spec.template", spec.template, previous.template);
  if (spec.completionMode !== "Indexed") check.immutable("spec.completions", spec.completions, previous.completions);
}

const controllerUid = "batch.kubernetes.io/controller-uid";

/**
 * Checks the selector of a Job. Without `manualSelector`, only the server chooses the selector, so that two Jobs never
 * share pods.
 */
function ownSelector(object: JsonObject, check: Check): void {
  const spec = objectOf(object.spec);
  const { selector } = spec;
  const labels = objectOf(objectOf(objectOf(spec.template).metadata).labels);
  if (isObject(selector) && !matchesLabelSelector(selector, labels as Record<string, string>))
    check.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`");
  if (spec.manualSelector === true) return;
  const uid = stringOf(objectOf(object.metadata).uid);
  const isOwn = jsonEqual(selector, { matchLabels: { [controllerUid]: uid } });
  if (isObject(selector) && uid !== "" && !isOwn)
    check.invalid("spec.selector", selector, "`selector` not auto-generated");
}

function jobSpec(spec: JsonObject, path: string, check: Check): void {
  for (const field of [
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
  ])
    check.nonNegative(`${path}.${field}`, spec[field]);
  indexLimits(spec, path, check);
  const managedBy = stringOf(spec.managedBy);
  if (spec.managedBy !== undefined && !/^[^/]+\/.+$/.test(managedBy))
    check.invalid(`${path}.managedBy`, managedBy, 'must be a domain-prefixed path (such as "acme.io/foo")');
  if (isObject(spec.podFailurePolicy)) podFailurePolicy(spec, spec.podFailurePolicy, `${path}.podFailurePolicy`, check);
  if (isObject(spec.successPolicy)) {
    if (spec.completionMode === "Indexed") successPolicy(spec, spec.successPolicy, `${path}.successPolicy`, check);
    else check.invalid(`${path}.successPolicy`, spec.successPolicy, needsIndexes);
  }
  const replacement = spec.podFailurePolicy === undefined ? ["Failed", "TerminatingOrFailed"] : ["Failed"];
  check.oneOf(`${path}.podReplacementPolicy`, spec.podReplacementPolicy, replacement);
  validatePodTemplate(spec.template, `${path}.template`, check);
  const restartPolicy = objectOf(objectOf(spec.template).spec).restartPolicy;
  if (restartPolicy === "Always" || restartPolicy === undefined) {
    check.required(`${path}.template.spec.restartPolicy`, 'valid values: "OnFailure", "Never"');
  } else if (restartPolicy === "OnFailure" && spec.podFailurePolicy !== undefined) {
    check.invalid(
      `${path}.template.spec.restartPolicy`,
      restartPolicy,
      'only "Never" is supported when podFailurePolicy is specified',
    );
  }
}

const needsIndexes = "requires indexed completion mode";

function indexLimits(spec: JsonObject, path: string, check: Check): void {
  check.oneOf(`${path}.completionMode`, spec.completionMode, ["NonIndexed", "Indexed"]);
  const { completions, parallelism, maxFailedIndexes, backoffLimitPerIndex } = spec;
  if (maxFailedIndexes !== undefined && backoffLimitPerIndex === undefined)
    check.required(`${path}.backoffLimitPerIndex`, "when maxFailedIndexes is specified");
  if (spec.completionMode !== "Indexed") {
    for (const field of ["backoffLimitPerIndex", "maxFailedIndexes"])
      if (spec[field] !== undefined) check.invalid(`${path}.${field}`, spec[field], needsIndexes);
    return;
  }
  const atMost = (field: string, limit: number, suffix: string): void => {
    const value = spec[field];
    if (typeof value === "number" && value > limit)
      check.invalid(`${path}.${field}`, value, `must be less than or equal to ${suffix}`);
  };
  if (completions === undefined) check.required(`${path}.completions`, "when completion mode is Indexed");
  atMost("parallelism", manyIndexes, `${manyIndexes} when completion mode is Indexed`);
  if (typeof completions === "number") atMost("maxFailedIndexes", completions, "completions");
  atMost("maxFailedIndexes", manyIndexes, String(manyIndexes));
  if (typeof completions !== "number" || completions <= manyIndexes || backoffLimitPerIndex === undefined) return;
  if (maxFailedIndexes === undefined)
    check.required(`${path}.maxFailedIndexes`, `must be specified when completions is above ${manyIndexes}`);
  const when = `when completions are above ${manyIndexes} and used with backoff limit per index`;
  if (parallelism !== undefined) atMost("parallelism", fewerIndexes, `${fewerIndexes} ${when}`);
  atMost("maxFailedIndexes", fewerIndexes, `${fewerIndexes} ${when}`);
}

/** The limits for an indexed Job, which keep the lists of indexes in the Job's status short. */
const manyIndexes = 100_000;
const fewerIndexes = 10_000;
const maxRules = 20;
const maxExitCodes = 255;

function atMostItems(path: string, items: readonly unknown[], maximum: number, check: Check): void {
  if (items.length > maximum) check.add(fieldErrors.tooMany(path, items.length, maximum));
}

function choice(path: string, value: unknown, supported: readonly string[], check: Check): void {
  if (value === undefined || value === "")
    check.required(path, `valid values: [${supported.map((value) => JSON.stringify(value)).join(" ")}]`);
  else check.oneOf(path, value, supported);
}

function podFailurePolicy(spec: JsonObject, policy: JsonObject, path: string, check: Check): void {
  const rules = arrayOf(policy.rules).map(objectOf);
  atMostItems(`${path}.rules`, rules, maxRules, check);
  const pod = objectOf(objectOf(spec.template).spec);
  const containers = new Set(
    [...arrayOf(pod.containers), ...arrayOf(pod.initContainers)].map((container) => objectOf(container).name),
  );
  for (const [at, rule] of withPaths(rules, `${path}.rules`)) {
    choice(`${at}.action`, rule.action, ["Count", "FailIndex", "FailJob", "Ignore"], check);
    if (rule.action === "FailIndex" && spec.backoffLimitPerIndex === undefined)
      check.invalid(`${at}.action`, rule.action, "requires the backoffLimitPerIndex to be set");
    const conditions = arrayOf(rule.onPodConditions).map(objectOf);
    if (isObject(rule.onExitCodes)) exitCodes(rule.onExitCodes, `${at}.onExitCodes`, containers, check);
    podConditions(conditions, `${at}.onPodConditions`, check);
    const hasExitCodes = rule.onExitCodes !== undefined;
    if (hasExitCodes && conditions.length > 0)
      check.invalid(at, omitted, "specifying both OnExitCodes and OnPodConditions is not supported");
    if (!hasExitCodes && conditions.length === 0)
      check.invalid(at, omitted, "specifying one of OnExitCodes and OnPodConditions is required");
  }
}

function podConditions(patterns: readonly JsonObject[], path: string, check: Check): void {
  atMostItems(path, patterns, maxRules, check);
  for (const [at, { type, status }] of withPaths(patterns, path)) {
    check.follows(`${at}.type`, type, checkQualifiedName);
    choice(`${at}.status`, status, ["False", "True", "Unknown"], check);
  }
}

function exitCodes(
  { operator, containerName, values: raw }: JsonObject,
  path: string,
  containers: ReadonlySet<unknown>,
  check: Check,
): void {
  choice(`${path}.operator`, operator, ["In", "NotIn"], check);
  if (containerName !== undefined && !containers.has(containerName))
    check.invalid(
      `${path}.containerName`,
      containerName,
      "must be one of the container or initContainer names in the pod template",
    );
  const values = arrayOf(raw).map(Number);
  if (values.length === 0) check.invalid(`${path}.values`, values, "at least one value is required");
  atMostItems(`${path}.values`, values, maxExitCodes, check);
  const earlier = new Set<unknown>();
  for (const [at, value] of withPaths(values, `${path}.values`)) {
    if (operator === "In" && value === 0) check.invalid(at, value, "must not be 0 for the In operator");
    check.unique(at, value, earlier);
  }
  if (values.some((value, index) => value < (values[index - 1] ?? value)))
    check.invalid(`${path}.values`, values, "must be ordered");
}

function successPolicy(spec: JsonObject, policy: JsonObject, path: string, check: Check): void {
  const rules = arrayOf(policy.rules).map(objectOf);
  const completions = typeof spec.completions === "number" ? spec.completions : 0;
  if (rules.length === 0)
    check.required(`${path}.rules`, "at least one rules must be specified when the successPolicy is specified");
  atMostItems(`${path}.rules`, rules, maxRules, check);
  for (const [at, { succeededIndexes, succeededCount }] of withPaths(rules, `${path}.rules`)) {
    if (succeededIndexes === undefined && succeededCount === undefined)
      check.required(at, "at least one of succeededCount or succeededIndexes must be specified");
    const listed = succeededIndexes === undefined ? undefined : readIndexes(stringOf(succeededIndexes), completions);
    if (listed?.problem !== undefined)
      check.invalid(`${at}.succeededIndexes`, succeededIndexes, `error parsing succeededIndexes: ${listed.problem}`);
    if (typeof succeededCount !== "number") continue;
    check.nonNegative(`${at}.succeededCount`, succeededCount);
    const atMost = (limit: number, field: string): void => {
      if (succeededCount > limit)
        check.invalid(`${at}.succeededCount`, succeededCount, `must be less than or equal to ${limit} (${field})`);
    };
    atMost(completions, "the number of specified completions");
    if (listed !== undefined) atMost(listed.total, "the number of indexes in the specified succeededIndexes field");
  }
}

/** Reads a list of indexes such as `0-2,5`. Returns the number of indexes, or the first problem in the list. */
function readIndexes(text: string, completions: number): { readonly total: number; readonly problem?: string } {
  let total = 0;
  let before: number | undefined;
  for (const part of text === "" ? [] : text.split(",")) {
    const limits = part.split("-");
    const problem = intervalProblem(part, limits, completions);
    if (problem !== undefined) return { total: 0, problem };
    const [first = 0, last = first] = limits.map(Number);
    if (before !== undefined && before >= first) return { total: 0, problem: notIncreasing(before, first) };
    total += last - first + 1;
    before = last;
  }
  return { total };
}

function intervalProblem(part: string, limits: readonly string[], completions: number): string | undefined {
  if (limits.length > 2)
    return `the fragment "${part}" violates the requirement that an index interval can have at most two parts separated by '-'`;
  for (const limit of limits) {
    if (!/^\d+$/.test(limit)) return `cannot convert string to integer for index: "${limit}"`;
    if (Number(limit) >= completions) return `too large index: "${limit}"`;
  }
  const [first = 0, last = first] = limits.map(Number);
  return first > last ? notIncreasing(first, last) : undefined;
}

const notIncreasing = (previous: number, current: number): string =>
  `non-increasing order, previous: ${previous}, current: ${current}`;

/** The maximum length of a CronJob's name. The names of its Jobs are eleven characters longer, for the time. */
const maxCronJobName = 52;

function cronJob(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const spec = objectOf(object.spec);
  scheduleOf(spec, check);
  if (old === undefined || objectOf(old.spec).timeZone !== spec.timeZone) timeZoneOf(spec.timeZone, check);
  check.oneOf("spec.concurrencyPolicy", spec.concurrencyPolicy, ["Allow", "Forbid", "Replace"]);
  for (const field of ["startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"])
    check.nonNegative(`spec.${field}`, spec[field]);
  jobSpec(objectOf(objectOf(spec.jobTemplate).spec), "spec.jobTemplate.spec", check);
  const name = stringOf(objectOf(object.metadata).name);
  if (old === undefined && name.length > maxCronJobName)
    check.invalid("metadata.name", name, `must be no more than ${maxCronJobName} characters`);
}

/** Checks a schedule as `validateScheduleFormat` in Kubernetes' `pkg/apis/batch/validation` does. */
function scheduleOf({ schedule: value, timeZone }: JsonObject, check: Check): void {
  const schedule = stringOf(value);
  if (schedule === "") {
    check.required("spec.schedule");
    return;
  }
  const parsed = parseCronExpression(schedule);
  if ("problem" in parsed) check.invalid("spec.schedule", schedule, parsed.problem);
  if (schedule.includes("TZ"))
    check.invalid(
      "spec.schedule",
      schedule,
      timeZone === undefined
        ? "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"
        : "cannot use both timeZone field and TZ or CRON_TZ in schedule",
    );
}

/** Checks a time zone as `validateTimeZone` in Kubernetes' `pkg/apis/batch/validation` does. */
function timeZoneOf(value: unknown, check: Check): void {
  if (typeof value !== "string") return;
  if (value === "") check.invalid("spec.timeZone", value, "timeZone must be nil or non-empty string");
  else if (value.toLowerCase() === "local")
    check.invalid(
      "spec.timeZone",
      value,
      "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
    );
  // JavaScript accepts offsets such as "+01:00" as names of time zones, but Go does not.
  else if (!/^[A-Za-z]/.test(value) || !isTimeZone(value))
    check.invalid("spec.timeZone", value, `unknown time zone ${value}`);
}

export const jobValidators: KindValidators = {
  "batch/jobs": job,
  "batch/cronjobs": cronJob,
};
