import { createHash } from "node:crypto";
import type { Canary, CanaryStep } from "../../../api/serin/index.ts";
import type { SettleCondition, Step } from "../../decide/index.ts";
import { withoutOvertaken } from "../overtaken-steps.ts";
import { checksOf } from "./canary-checks.ts";
import type { CanaryWorld } from "./canary-world.ts";
import { deploymentTargetPlan } from "./deployment-target.ts";
import { routeTargetPlan } from "./route-target.ts";
import { servicesTargetPlan } from "./services-target.ts";
import { stepTitle } from "./step-title.ts";
import type { Move, PartialStep, Subject, TargetPlan } from "./target-plan.ts";
import { noTraffic, type Affinity, type Mirror, type Traffic } from "./traffic.ts";

/**
 * Plans the steps of a Canary: one for each step of the spec (`step-<n>`), with the target's own steps around them. If
 * there is nothing to roll out, only the steps of the setup. All writes are computed from the values before the
 * rollout. Throws a user error with the field and the object if the spec does not fit the cluster.
 */
export function planCanary(canary: Canary, world: CanaryWorld): Step[] {
  const target = targetPlan(canary, world);
  const setup = target.setup.map((step) => finished(step, target, { setup: true, essential: true }));
  if (target.idle) return setup;
  const { steps } = canary.spec;
  const last = steps.length;
  const moves = movesOf(canary, world);
  const moving = [
    ...moves.flatMap((move, index) => stepsOf(canary, target, move, index + 1)),
    ...target.end.map((step) => finished(step, target, { ordinal: last, essential: true })),
  ];
  return [
    ...setup,
    ...target.begin.map((step) => finished(step, target, { ordinal: 1 })),
    ...withoutOvertaken(moving, canary.status),
  ];
}

function targetPlan(canary: Canary, world: CanaryWorld): TargetPlan {
  const { target } = canary.spec;
  if ("deployment" in target) return deploymentTargetPlan(canary, target.deployment, world);
  if ("services" in target) return servicesTargetPlan(canary, target.services, world);
  return routeTargetPlan(canary as Parameters<typeof routeTargetPlan>[0], world);
}

/** Computes the traffic of each step. Weights and matches carry over to later steps. Mirrors and experiments do not. */
function movesOf(canary: Canary, world: CanaryWorld): Move[] {
  const { steps, sessionAffinity } = canary.spec;
  const affinity = sessionAffinity === undefined ? undefined : { ...sessionAffinity, value: runValue(canary, world) };
  let before = noTraffic;
  return steps.map((step, index) => {
    const traffic = trafficOf(step, before, affinity);
    const move = { id: `step-${index + 1}`, step, traffic, before, soFar: steps.slice(0, index + 1) };
    before = traffic;
    return move;
  });
}

function trafficOf(step: CanaryStep, before: Traffic, affinity: Affinity | undefined): Traffic {
  const weight = step.weight ?? before.weight;
  const matches = weight === 100 ? [] : [...before.matches, ...(step.match === undefined ? [] : [step.match])];
  const sticky = affinity !== undefined && weight > 0 && weight < 100;
  return { weight, matches, mirrors: mirrorsOf(step), ...(sticky ? { affinity } : {}) };
}

function mirrorsOf({ mirror, experiment }: CanaryStep): Mirror[] {
  if (experiment !== undefined && experiment.mirrorPercent > 0) {
    return (["experiment-baseline", "experiment-canary"] as const).map((to) => ({
      to,
      percent: experiment.mirrorPercent,
    }));
  }
  return mirror === undefined ? [] : [{ to: "canary", percent: mirror.percent }];
}

function runValue(
  { metadata: { uid = "", namespace = "", name = "" } }: Canary,
  { candidate = "" }: CanaryWorld,
): string {
  return createHash("sha256").update(`${uid} ${namespace}/${name} ${candidate}`).digest("hex").slice(0, 12);
}

function stepsOf(canary: Canary, target: TargetPlan, move: Move, ordinal: number): Step[] {
  const { step, traffic, id } = move;
  const { writes, settle } = target.shift(traffic);
  const subjects = step.experiment === undefined ? target.subjects : (target.experimentSubjects ?? target.subjects);
  const main: PartialStep = {
    id,
    title: stepTitle(step),
    writes: [...target.follow(move), ...writes],
    settle,
    checks: checksOf(canary, { step, traffic, subjects }),
    ...needsOf(traffic, target.subjects),
    weight: traffic.weight,
    // A full promotion skips to the last step. The targets' own steps say themselves whether they may be skipped.
    essential: ordinal === canary.spec.steps.length,
    ...(step.experiment === undefined ? {} : { holdMs: step.experiment.durationSeconds * 1000 }),
    ...pauseOf(canary, step, id),
  };
  return [...target.before(move), main, ...target.after(move)].map((part) => finished(part, target, { ordinal }));
}

/**
 * Requests move only while the canary has a ready pod, because proxies would answer requests to a version without pods
 * with 503. The pods behind a Service without a selector are unknown, so nothing waits for them.
 */
function needsOf({ weight, matches }: Traffic, subjects: readonly Subject[]): Pick<Step, "needs"> {
  if (weight === 0 && matches.length === 0) return {};
  const needs = subjects.flatMap(({ canary: { namespace, service = "", podLabels } }): SettleCondition[] =>
    podLabels === undefined ? [] : [{ type: "versionServes", namespace, service, labels: podLabels }],
  );
  return needs.length === 0 ? {} : { needs };
}

function pauseOf({ spec }: Canary, { pause }: CanaryStep, id: string): Pick<Step, "pause"> {
  if (pause === undefined) return {};
  const { durationSeconds, untilApproved } = pause;
  return {
    pause: {
      ...(durationSeconds === undefined ? {} : { durationMs: durationSeconds * 1000 }),
      ...(untilApproved === true ? { approved: spec.approvals.some((approval) => approval.step === id) } : {}),
    },
  };
}

function finished(step: PartialStep, { namespaces }: TargetPlan, more: Partial<Step>): Step {
  return { checks: [], namespaces, ...more, ...step };
}
