import { userError } from "../../../base/index.ts";
import { checkDefaults, type BackendTarget, type Canary, type CanaryStep, type CheckSpec, type ObjectReference, type RouteTarget } from "../../../api/serin/index.ts";
import type { CheckSubject, PlannedCheck, Step } from "../../decide/index.ts";
import { reference } from "../references.ts";

type Fields = Readonly<Record<string, unknown>>;

/** What a canary's plan is made from besides its spec: the route's rules as they were before the first step. */
export interface CanaryWorld {
  readonly rules: readonly Fields[];
}

/** The target, where it is an HTTPRoute. */
function routeTarget({ spec }: Canary): RouteTarget {
  if ("httpRoute" in spec.target) return spec.target.httpRoute;
  throw userError("target-unknown", `spec.target: ${Object.keys(spec.target).join(", ")} is not a target that this engine moves`);
}

export function routeOf(canary: Canary): ObjectReference {
  const { name, namespace } = routeTarget(canary);
  return reference("gateway.networking.k8s.io/v1", "HTTPRoute", name, namespace ?? canary.metadata.namespace ?? "default");
}

const defaultChecks: readonly CheckSpec[] = [
  { ...checkDefaults, type: "request-success-rate" },
  { ...checkDefaults, type: "request-share" },
];

/** A step a spec step; each writes the whole list of rules, computed from the original one, so that undo is one field. */
export function planCanary(canary: Canary, world: CanaryWorld): Step[] {
  const { spec } = canary;
  const route = routeOf(canary);
  const specs = spec.checks.length === 0 ? defaultChecks : spec.checks;
  let weight = 0;
  const matches: NonNullable<CanaryStep["match"]>[] = [];
  return spec.steps.map((step, index) => {
    if (step.weight !== undefined) weight = step.weight;
    if (step.match !== undefined) matches.push(step.match);
    const rules = rulesFor(canary, world.rules, [...matches], weight);
    return {
      id: `step-${index + 1}`,
      title: titleOf(step),
      writes: [{ type: "field", object: route, pointer: "/spec/rules", value: rules }],
      settle: [{ type: "acknowledged", object: route }],
      checks: checksFor(canary, step, specs, matches.length > 0),
      ...pauseOf(step, spec.approvals.some((approval) => approval.step === `step-${index + 1}`)),
    };
  });
}

function pauseOf(step: CanaryStep, approved: boolean): Pick<Step, "pause"> {
  if (step.pause === undefined) return {};
  const { durationSeconds, untilApproved } = step.pause;
  return {
    pause: {
      ...(durationSeconds === undefined ? {} : { durationMs: durationSeconds * 1000 }),
      ...(untilApproved === true ? { approved } : {}),
    },
  };
}

function titleOf(step: CanaryStep): string {
  if (step.match !== undefined) return `requests with ${step.match.headers.map(({ name, value }) => `${name}: ${value}`).join(", ")} to the canary`;
  return `weight ${100 - (step.weight ?? 0)}/${step.weight ?? 0}`;
}

function checksFor(canary: Canary, step: CanaryStep, specs: readonly CheckSpec[], someByHeader: boolean): PlannedCheck[] {
  const { stable, canary: target, namespace } = routeTarget(canary);
  const home = namespace ?? canary.metadata.namespace ?? "default";
  const match = (backend: BackendTarget) => ({ service: backend.name, namespace: backend.namespace ?? home });
  const subject: CheckSubject = { type: "backends", canary: match(target), stable: match(stable), expectedShare: step.weight ?? 0, atLeast: someByHeader };
  // Who is sent by header has no share to compare with; weight 0 has no canary to judge.
  const applies = (spec: CheckSpec): boolean => {
    if (spec.type === "request-share") return step.weight !== undefined;
    return spec.type === "request-success-rate" && step.weight !== 0;
  };
  return specs.filter(applies).map((spec) => ({ spec, subject }));
}

function rulesFor(canary: Canary, original: readonly Fields[], matches: readonly NonNullable<CanaryStep["match"]>[], weight: number): Fields[] {
  const { rule, stable, canary: target, namespace } = routeTarget(canary);
  const home = namespace ?? canary.metadata.namespace ?? "default";
  const backend = (to: BackendTarget, share: number): Fields => ({
    name: to.name,
    ...((to.namespace ?? home) === home ? {} : { namespace: to.namespace }),
    port: to.port,
    weight: share,
  });
  return original.flatMap((current, index) => {
    if (index !== rule) return [current];
    const byHeader = matches.map((match) => ({ ...current, matches: withHeaders(current["matches"], match.headers), backendRefs: [backend(target, 1)] }));
    const backendRefs = weight === 0 && matches.length > 0 ? current["backendRefs"] : [backend(stable, 100 - weight), backend(target, weight)];
    return [...byHeader, { ...current, backendRefs }];
  });
}

/** The rule's own matches, each with the headers added: a header alone would lose to an exact path (Gateway API, match precedence). */
function withHeaders(matches: unknown, headers: NonNullable<CanaryStep["match"]>["headers"]): Fields[] {
  const list = Array.isArray(matches) && matches.length > 0 ? (matches as Fields[]) : [{}];
  const added = headers.map(({ name, value }) => ({ type: "Exact", name, value }));
  return list.map((match) => ({ ...match, headers: [...((match["headers"] as unknown[] | undefined) ?? []), ...added] }));
}
