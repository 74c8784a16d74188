import { checkDefaults, type Canary, type CanaryStep, type CheckSpec, type CheckType } from "../../../api/serin/index.ts";
import type { PlannedCheck } from "../../decide/index.ts";
import type { Subject } from "./target-plan.ts";
import type { Traffic } from "./traffic.ts";

const ofRequests: readonly CheckType[] = ["request-success-rate", "request-duration"];

/** What is judged when the spec names no checks: answers, their durations, and whether the weight is what the proxies do. */
const defaultChecks: readonly CheckSpec[] = (["request-success-rate", "request-duration", "request-share"] as const).map((type) => ({ ...checkDefaults, type }));

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
  const specs = [...(isServed(step, traffic) ? general.filter((spec) => applies(spec, step)) : []), ...step.checks];
  return specs.flatMap((spec) => subjects.map((subject) => ({ spec: iterated(spec, step.iterations), subject: subjectOf(spec, subject, traffic) })));
}

function defaultsFor({ spec: { target } }: Canary): readonly CheckSpec[] {
  return "virtualService" in target && target.virtualService.protocol !== "http" ? defaultConnectionChecks : defaultChecks;
}

/** A step that only scales, prepares or waits has no requests of its own to judge; the one before it has been judged. */
function isServed(step: CanaryStep, traffic: Traffic): boolean {
  if (step.experiment !== undefined) return step.experiment.mirrorPercent > 0;
  if (step.weight === undefined && step.match === undefined && step.mirror === undefined) return step.iterations !== undefined;
  return traffic.weight > 0 || traffic.matches.length > 0 || traffic.mirrors.length > 0;
}

/** Who is sent by a match, and a copy of requests, have no share to compare with. */
function applies(spec: CheckSpec, step: CanaryStep): boolean {
  if (spec.type === "request-share") return step.weight !== undefined && step.weight > 0;
  return true;
}

function subjectOf(spec: CheckSpec, { canary, stable }: Subject, traffic: Traffic): PlannedCheck["subject"] {
  if (!ofRequests.includes(spec.type) && spec.type !== "request-share" && canary.podLabels === undefined && spec.type === "xds-nacks") return { type: "mesh" };
  return { type: "backends", canary, stable, expectedShare: traffic.weight, atLeast: traffic.matches.length > 0 || traffic.affinity !== undefined };
}

/** A/B for N iterations: the check must pass so often, at that interval. */
function iterated(spec: CheckSpec, iterations: CanaryStep["iterations"]): CheckSpec {
  return iterations === undefined ? spec : { ...spec, count: iterations.count, intervalSeconds: iterations.intervalSeconds };
}
