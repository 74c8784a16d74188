import {
  checkDefaults,
  type Canary,
  type CanaryStep,
  type CheckSpec,
  type CheckType,
} from "../../../api/serin/index.ts";
import type { PlannedCheck } from "../../decide/index.ts";
import type { Subject } from "./target-plan.ts";
import type { Traffic } from "./traffic.ts";

/** What is judged by requests that the canary has answered. */
const ofRequests: ReadonlySet<CheckType> = new Set(["request-success-rate", "request-duration", "request-share"]);

/** What is judged when the spec names no checks: answers, their durations, and whether the weight is what the proxies do. */
const defaultChecks: readonly CheckSpec[] = (
  ["request-success-rate", "request-duration", "request-share"] as const
).map((type) => ({ ...checkDefaults, type }));

/** Connections without requests are counted by those who open them. */
const defaultConnectionChecks: readonly CheckSpec[] = [{ ...checkDefaults, type: "tcp-connect-failures" }];

export interface CheckedStep {
  readonly step: CanaryStep;
  readonly traffic: Traffic;
  readonly subjects: readonly Subject[];
}

/** The checks of the spec where the canary has something to be judged by, and the step's own in any case. */
export function checksOf(canary: Canary, { step, traffic, subjects }: CheckedStep): PlannedCheck[] {
  const general = canary.spec.checks.length === 0 ? defaultsFor(canary) : canary.spec.checks;
  const specs = [...general.filter((spec) => applies(spec, step, traffic)), ...step.checks];
  return specs.flatMap((spec) =>
    subjects.map((subject) => ({ spec: iterated(spec, step.iterations), subject: subjectOf(subject, traffic) })),
  );
}

function defaultsFor({ spec: { target } }: Canary): readonly CheckSpec[] {
  return "virtualService" in target && target.virtualService.protocol !== "http"
    ? defaultConnectionChecks
    : defaultChecks;
}

/**
 * A step that only scales, prepares or waits has nothing of its own to judge; the one before it has been judged. Copies of requests
 * are counted by nobody, so a step of copies alone is judged by its pods; who is sent by a match has no share to compare with.
 */
function applies(spec: CheckSpec, step: CanaryStep, traffic: Traffic): boolean {
  const { weight, match, mirror, experiment, iterations } = step;
  if (
    experiment !== undefined ||
    (weight === undefined && match === undefined && mirror === undefined && iterations === undefined)
  )
    return false;
  const answers = traffic.weight > 0 || traffic.matches.length > 0;
  if (!answers && traffic.mirrors.length === 0) return false;
  if (spec.type === "request-share") return weight !== undefined && weight > 0;
  return answers || !ofRequests.has(spec.type);
}

function subjectOf({ canary, stable }: Subject, traffic: Traffic): PlannedCheck["subject"] {
  return {
    type: "backends",
    canary,
    stable,
    expectedShare: traffic.weight,
    atLeast: traffic.matches.length > 0 || traffic.affinity !== undefined,
  };
}

/** A/B for N iterations: the check must pass so often, at that interval. */
function iterated(spec: CheckSpec, iterations: CanaryStep["iterations"]): CheckSpec {
  return iterations === undefined
    ? spec
    : { ...spec, count: iterations.count, intervalSeconds: iterations.intervalSeconds };
}
