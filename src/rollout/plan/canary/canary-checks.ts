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

const ofRequests: ReadonlySet<CheckType> = new Set(["request-success-rate", "request-duration", "request-share"]);

const defaultChecks: readonly CheckSpec[] = (
  ["request-success-rate", "request-duration", "request-share"] as const
).map((type) => ({ ...checkDefaults, type }));

/** The proxies of the clients count failed connections. */
const defaultConnectionChecks: readonly CheckSpec[] = [{ ...checkDefaults, type: "tcp-connect-failures" }];

export interface CheckedStep {
  readonly step: CanaryStep;
  readonly traffic: Traffic;
  readonly subjects: readonly Subject[];
}

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
 * Whether a check of the spec applies to a step. A step that only scales, prepares or waits does not change traffic, so
 * no check applies. No proxy counts mirrored requests, so only checks of pods apply to a step that only mirrors. The
 * share of requests is checked only for weights, because a match has no expected share.
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

/** In a step with iterations (A/B tests), the check must pass that many times at that interval. */
function iterated(spec: CheckSpec, iterations: CanaryStep["iterations"]): CheckSpec {
  return iterations === undefined
    ? spec
    : { ...spec, count: iterations.count, intervalSeconds: iterations.intervalSeconds };
}
