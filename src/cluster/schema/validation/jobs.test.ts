import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "../json.ts";
import { Check } from "./check.ts";
import { jobValidators } from "./jobs.ts";

const template = { spec: { restartPolicy: "Never", containers: [{ name: "app", image: "a" }] } };
const job = (spec: JsonObject): JsonObject => ({ metadata: { name: "work" }, spec: { template, ...spec } });
const indexed = { completionMode: "Indexed", completions: 5 };

function faults(spec: JsonObject, old?: JsonObject): string[] {
  const check = new Check();
  jobValidators["batch/jobs"]?.(job(spec), old === undefined ? undefined : job(old), check);
  return check.errors
    .map(({ field, message }) => `${field}: ${message}`)
    .filter((fault) => !fault.startsWith("spec.template.spec.containers"));
}

const rule = (...rules: JsonObject[]): JsonObject => ({ podFailurePolicy: { rules } });
const onExitCodes = { operator: "In", values: [1, 42] };
const onPodConditions = [{ type: "DisruptionTarget", status: "True" }];

test("a Job with limits for each index and both policies has no fault", () => {
  assert.deepEqual(faults({}), []);
  assert.deepEqual(
    faults({
      ...indexed,
      backoffLimitPerIndex: 1,
      maxFailedIndexes: 5,
      podReplacementPolicy: "Failed",
      ...rule(
        { action: "FailIndex", onExitCodes: { ...onExitCodes, containerName: "app" } },
        { action: "Ignore", onPodConditions },
      ),
      successPolicy: { rules: [{ succeededIndexes: "0,2-4", succeededCount: 2 }, { succeededCount: 5 }] },
    }),
    [],
  );
});

test("limits for each index need the mode Indexed, each other, and bounds", () => {
  assert.deepEqual(faults({ backoffLimitPerIndex: 1, maxFailedIndexes: 1 }), [
    "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
    "spec.maxFailedIndexes: Invalid value: 1: requires indexed completion mode",
  ]);
  assert.deepEqual(faults({ ...indexed, maxFailedIndexes: 6 }), [
    "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified",
    "spec.maxFailedIndexes: Invalid value: 6: must be less than or equal to completions",
  ]);
  assert.deepEqual(faults({ completionMode: "Indexed", backoffLimitPerIndex: -1 }), [
    "spec.backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0",
    "spec.completions: Required value: when completion mode is Indexed",
  ]);
  assert.deepEqual(faults({ completionMode: "Indexed", completions: 100_001, backoffLimitPerIndex: 1 }), [
    "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
  ]);
  assert.deepEqual(faults({ ...indexed, parallelism: 100_001 }), [
    "spec.parallelism: Invalid value: 100001: must be less than or equal to 100000 when completion mode is Indexed",
  ]);
});

test("a rule of a podFailurePolicy needs a known action and either exit codes or conditions", () => {
  const at = "spec.podFailurePolicy.rules[0]";
  assert.deepEqual(faults(rule({ onExitCodes })), [
    `${at}.action: Required value: valid values: ["Count" "FailIndex" "FailJob" "Ignore"]`,
  ]);
  assert.deepEqual(faults(rule({ action: "Retry", onExitCodes })), [
    `${at}.action: Unsupported value: "Retry": supported values: "Count", "FailIndex", "FailJob", "Ignore"`,
  ]);
  assert.deepEqual(faults(rule({ action: "FailIndex", onExitCodes })), [
    `${at}.action: Invalid value: "FailIndex": requires the backoffLimitPerIndex to be set`,
  ]);
  assert.deepEqual(faults(rule({ action: "Count", onExitCodes, onPodConditions })), [
    `${at}: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported`,
  ]);
  assert.deepEqual(faults(rule({ action: "Count" })), [
    `${at}: Invalid value: specifying one of OnExitCodes and OnPodConditions is required`,
  ]);
  const many = Array.from({ length: 21 }, () => ({ action: "Count", onExitCodes }));
  assert.deepEqual(faults(rule(...many)), ["spec.podFailurePolicy.rules: Too many: 21: must have at most 20 items"]);
});

test("exit codes are ordered, unique and not 0 for In, and name a container of the template", () => {
  const at = "spec.podFailurePolicy.rules[0].onExitCodes";
  const faultsOf = (codes: JsonObject): string[] => faults(rule({ action: "Count", onExitCodes: codes }));
  assert.deepEqual(faultsOf({ operator: "In", values: [0, 0] }), [
    `${at}.values[0]: Invalid value: 0: must not be 0 for the In operator`,
    `${at}.values[1]: Invalid value: 0: must not be 0 for the In operator`,
    `${at}.values[1]: Duplicate value: 0`,
  ]);
  assert.deepEqual(faultsOf({ operator: "NotIn", values: [2, 1] }), [
    `${at}.values: Invalid value: [2,1]: must be ordered`,
  ]);
  assert.deepEqual(faultsOf({ operator: "In", values: [] }), [
    `${at}.values: Invalid value: []: at least one value is required`,
  ]);
  assert.deepEqual(faultsOf({ operator: "Is", values: [1], containerName: "x" }), [
    `${at}.operator: Unsupported value: "Is": supported values: "In", "NotIn"`,
    `${at}.containerName: Invalid value: "x": must be one of the container or initContainer names in the pod template`,
  ]);
});

test("a podFailurePolicy needs pods that are not restarted, and replaces only failed ones", () => {
  const policy = rule({ action: "Count", onExitCodes });
  assert.deepEqual(faults({ ...policy, podReplacementPolicy: "TerminatingOrFailed" }), [
    'spec.podReplacementPolicy: Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
  ]);
  const restarted = { spec: { ...template.spec, restartPolicy: "OnFailure" } };
  assert.deepEqual(faults({ ...policy, template: restarted }), [
    'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
  ]);
});

test("a successPolicy needs the mode Indexed, and rules that can be met", () => {
  const policy = (...rules: JsonObject[]): JsonObject => ({ ...indexed, successPolicy: { rules } });
  const at = "spec.successPolicy.rules[0]";
  assert.match(faults({ ...policy({ succeededCount: 1 }), completionMode: "NonIndexed" })[0] ?? "", /requires indexed/);
  assert.deepEqual(faults(policy()), [
    "spec.successPolicy.rules: Required value: at least one rules must be specified when the successPolicy is specified",
  ]);
  assert.deepEqual(faults(policy({})), [
    `${at}: Required value: at least one of succeededCount or succeededIndexes must be specified`,
  ]);
  assert.deepEqual(faults(policy({ succeededCount: 6 })), [
    `${at}.succeededCount: Invalid value: 6: must be less than or equal to 5 (the number of specified completions)`,
  ]);
  assert.deepEqual(faults(policy({ succeededCount: 3, succeededIndexes: "0-1" })), [
    `${at}.succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in the specified succeededIndexes field)`,
  ]);
  for (const [text, problem] of [
    ["0-1-2", "at most two parts"],
    ["a", 'cannot convert string to integer for index: "a"'],
    ["3-5", 'too large index: "5"'],
    ["3-1", "non-increasing order, previous: 3, current: 1"],
    ["0-2,2", "non-increasing order, previous: 2, current: 2"],
  ])
    assert.ok((faults(policy({ succeededIndexes: text }))[0] ?? "").includes(problem ?? ""), text);
});

test("the policies and the limit for each index cannot be changed", () => {
  const before = { ...indexed, backoffLimitPerIndex: 1, ...rule({ action: "Count", onExitCodes }) };
  assert.deepEqual(
    faults({ ...before, backoffLimitPerIndex: 2, podFailurePolicy: undefined }, before).map(
      (fault) => fault.split(": ")[0],
    ),
    ["spec.podFailurePolicy", "spec.backoffLimitPerIndex"],
  );
});

function cronFaults(spec: JsonObject, old?: JsonObject): string[] {
  const cronJob = (own: JsonObject): JsonObject => ({
    metadata: { name: "work" },
    spec: { schedule: "@daily", jobTemplate: { spec: { template } }, ...own },
  });
  const check = new Check();
  jobValidators["batch/cronjobs"]?.(cronJob(spec), old === undefined ? undefined : cronJob(old), check);
  return check.errors
    .map(({ field, message }) => `${field}: ${message}`)
    .filter((fault) => !fault.startsWith("spec.jobTemplate"));
}

test("a CronJob's schedule that would never run is refused, with the reason", () => {
  for (const schedule of ["*/5 0-6 1,15 JAN mon-FRI", "@every 1h30m", "@hourly", "0 0 30 2 *"])
    assert.deepEqual(cronFaults({ schedule }), [], schedule);
  const reasons: readonly (readonly [string, string])[] = [
    ["* * * *", "expected exactly 5 fields, found 4: [* * * *]"],
    ["99 * * * *", "end of range (99) above maximum (59): 99"],
    ["* * 0 * *", "beginning of range (0) below minimum (1): 0"],
    ["9-5 * * * *", "beginning of range (9) beyond end of range (5): 9-5"],
    ["*/0 * * * *", "step of range should be a positive number: */0"],
    ["1-2-3 * * * *", "too many hyphens: 1-2-3"],
    ["*/2/3 * * * *", "too many slashes: */2/3"],
    ["x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'],
    ["@never", "unrecognized descriptor: @never"],
    ["@every hour", 'failed to parse duration @every hour: time: invalid duration "hour"'],
  ];
  for (const [schedule, reason] of reasons)
    assert.deepEqual(cronFaults({ schedule }), [
      `spec.schedule: Invalid value: ${JSON.stringify(schedule)}: ${reason}`,
    ]);
  assert.deepEqual(cronFaults({ schedule: "" }), ["spec.schedule: Required value"]);
});

test("a CronJob's time zone has a known name, and may only be set in its own field", () => {
  assert.deepEqual(cronFaults({ timeZone: "Europe/Berlin" }), []);
  assert.deepEqual(cronFaults({ timeZone: "Mars/Olympus" }), [
    'spec.timeZone: Invalid value: "Mars/Olympus": unknown time zone Mars/Olympus',
  ]);
  assert.deepEqual(cronFaults({ timeZone: "+01:00" }), [
    'spec.timeZone: Invalid value: "+01:00": unknown time zone +01:00',
  ]);
  assert.deepEqual(cronFaults({ timeZone: "" }), [
    'spec.timeZone: Invalid value: "": timeZone must be nil or non-empty string',
  ]);
  assert.match(cronFaults({ timeZone: "local" }).join(), /timeZone must be an explicit time zone/);
  assert.match(cronFaults({ schedule: "TZ=UTC * * * * *" }).join(), /cannot use TZ or CRON_TZ in schedule/);
  assert.match(
    cronFaults({ schedule: "CRON_TZ=UTC * * * * *", timeZone: "UTC" }).join(),
    /cannot use both timeZone field and TZ/,
  );
  // If the time zone of a stored object has become unknown, other fields of the object can still be changed.
  assert.deepEqual(cronFaults({ timeZone: "Mars/Olympus", suspend: true }, { timeZone: "Mars/Olympus" }), []);
});
