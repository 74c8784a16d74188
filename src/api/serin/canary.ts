import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { parseChecks, type CheckSpec } from "./check-spec.ts";
import { rolloutGroup, rolloutVersion, type RolloutStatus } from "./rollout-status.ts";

/** rollout.serin.dev/v1alpha1 Canary: an app's change, moved step by step, judged by evidence, taken back by itself. */
export interface Canary extends KubernetesObject {
  spec: CanarySpec;
  status?: RolloutStatus;
}

export interface CanarySpec {
  readonly target: { readonly httpRoute: HttpRouteTarget };
  readonly steps: readonly CanaryStep[];
  readonly checks: readonly CheckSpec[];
  readonly rollback: "Automatic" | "Manual";
  readonly paused: boolean;
  /** Puts everything back, whatever the phase. */
  readonly abort: boolean;
  /** The step up to which a person has approved; steps that pause until approved compare with it. */
  readonly approvedStep: number;
}

/** One rule of an HTTPRoute, and the two backends between which its traffic moves. */
export interface HttpRouteTarget {
  readonly name: string;
  /** The Canary's namespace when absent. */
  readonly namespace?: string;
  /** Index into `spec.rules`. */
  readonly rule: number;
  readonly stable: BackendTarget;
  readonly canary: BackendTarget;
}

export interface BackendTarget {
  readonly name: string;
  readonly namespace?: string;
  readonly port: number;
}

/** Exactly one of `weight` and `match`. */
export interface CanaryStep {
  /** Percent of the rule's traffic that goes to the canary. */
  readonly weight?: number;
  /** Requests that carry all of these headers go to the canary, on every path of the rule. */
  readonly match?: { readonly headers: readonly { readonly name: string; readonly value: string }[] };
  readonly pause?: { readonly durationSeconds?: number; readonly untilApproved?: boolean };
}

export const canaryKind = defineKind<Canary>({
  group: rolloutGroup,
  versions: [rolloutVersion],
  kind: "Canary",
  plural: "canaries",
  namespaced: true,
  parse: parseCanary,
});

const maxSteps = 64;

export function parseCanary(raw: unknown): Parsed<Canary> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind", "status");
  const metadata = reader.object("metadata")?.raw as Canary["metadata"] | undefined;
  const spec = reader.required("spec", reader.object("spec"));
  const parsed = spec === undefined ? undefined : parseSpec(spec);
  reader.unknownFields();
  return reader.finish(() => ({
    apiVersion: `${rolloutGroup}/${rolloutVersion}`,
    kind: "Canary",
    metadata: metadata ?? {},
    spec: parsed as CanarySpec,
    ...statusOf(raw),
  }));
}

function statusOf(raw: unknown): { status?: RolloutStatus } {
  const { status } = raw as { status?: RolloutStatus };
  return status === undefined ? {} : { status };
}

function parseSpec(spec: Reader): CanarySpec {
  const target = spec.required("target", spec.object("target"));
  const httpRoute = target?.required("httpRoute", target.object("httpRoute"));
  target?.unknownFields();
  const steps = spec.list("steps").map(parseStep);
  if (steps.length === 0) spec.error("must have at least one step, such as {weight: 10}", "steps");
  if (steps.length > maxSteps) spec.error(`must have at most ${maxSteps} steps, got ${steps.length}`, "steps");
  const result: CanarySpec = {
    target: { httpRoute: httpRoute === undefined ? noTarget : parseTarget(httpRoute) },
    steps,
    checks: parseChecks(spec, "checks"),
    rollback: spec.oneOf("rollback", ["Automatic", "Manual"]) ?? "Automatic",
    paused: spec.boolean("paused") ?? false,
    abort: spec.boolean("abort") ?? false,
    approvedStep: spec.integer("approvedStep", 0, maxSteps) ?? 0,
  };
  spec.unknownFields();
  return result;
}

const noTarget: HttpRouteTarget = { name: "", rule: 0, stable: { name: "", port: 0 }, canary: { name: "", port: 0 } };

function parseTarget(target: Reader): HttpRouteTarget {
  const namespace = target.string("namespace");
  const result = {
    name: target.required("name", target.string("name")) ?? "",
    ...(namespace === undefined ? {} : { namespace }),
    rule: target.integer("rule", 0, 15) ?? 0,
    stable: parseBackend(target, "stable"),
    canary: parseBackend(target, "canary"),
  };
  target.unknownFields();
  return result;
}

function parseBackend(target: Reader, field: string): BackendTarget {
  const backend = target.required(field, target.object(field));
  if (backend === undefined) return { name: "", port: 0 };
  const namespace = backend.string("namespace");
  const result = {
    name: backend.required("name", backend.string("name")) ?? "",
    ...(namespace === undefined ? {} : { namespace }),
    port: backend.required("port", backend.integer("port", 1, 65_535)) ?? 0,
  };
  backend.unknownFields();
  return result;
}

function parseStep(step: Reader): CanaryStep {
  const weight = step.integer("weight", 0, 100);
  const match = step.object("match");
  const headers = match?.list("headers").map((header) => {
    const result = { name: header.required("name", header.string("name")) ?? "", value: header.required("value", header.string("value")) ?? "" };
    header.unknownFields();
    return result;
  });
  match?.unknownFields();
  if ((weight === undefined) === (headers === undefined)) step.error("must have exactly one of weight and match");
  const pause = step.object("pause");
  const durationSeconds = pause?.integer("durationSeconds", 0, 86_400);
  const untilApproved = pause?.boolean("untilApproved");
  pause?.unknownFields();
  step.unknownFields();
  return {
    ...(weight === undefined ? {} : { weight }),
    ...(headers === undefined ? {} : { match: { headers } }),
    ...(pause === undefined
      ? {}
      : { pause: { ...(durationSeconds === undefined ? {} : { durationSeconds }), ...(untilApproved === undefined ? {} : { untilApproved }) } }),
  };
}
