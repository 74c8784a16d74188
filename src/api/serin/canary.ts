import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { parseTarget, type CanaryTarget, type DeploymentTarget } from "./canary-target.ts";
import { parseChecks, type CheckSpec } from "./check-spec.ts";
import { checkRolloutName, maxDeploymentNameLength, maxServiceNameLength } from "./object-name.ts";
import { parseOrders, parsePause, type PauseSpec, type RolloutOrdersSpec } from "./rollout-orders.ts";
import { rolloutGroup, rolloutVersion, type RolloutStatus } from "./rollout-status.ts";
import { cookieNameFault, parseTrafficMatch, type TrafficMatch } from "./traffic-match.ts";

/**
 * rollout.serin.dev/v1alpha1 Canary: changes an app step by step, judges it by evidence, and rolls it back
 * automatically.
 */
export interface Canary extends KubernetesObject {
  spec: CanarySpec;
  status?: RolloutStatus;
}

export interface CanarySpec extends RolloutOrdersSpec {
  readonly target: CanaryTarget;
  readonly steps: readonly CanaryStep[];
  /** Checks for every step that sends requests to the canary, in addition to the step's own. */
  readonly checks: readonly CheckSpec[];
  /** Keeps a client on the canary by a cookie, until the rollout ends. */
  readonly sessionAffinity?: { readonly cookieName: string; readonly maxAgeSeconds: number };
  /** Whether the stable version shrinks as the canary grows (Deployment target). */
  readonly dynamicStableScale: boolean;
  /** How long the old version keeps running after the end, so that an undo can use it at once. */
  readonly scaleDownDelaySeconds: number;
}

/** One step. It has at least one of weight, match, mirror, scale, preview, experiment, pause and checks. */
export interface CanaryStep {
  readonly name?: string;
  readonly weight?: number;
  /** Requests that match go to the canary, whatever the weight is. */
  readonly match?: TrafficMatch;
  /** Copies this percentage of the stable version's requests to the canary. Its responses are dropped. */
  readonly mirror?: { readonly percent: number };
  readonly scale?: CanaryScale;
  /**
   * Runs the canary at full scale, where only the preview Service reaches it. This is the first half of a blue-green
   * deployment.
   */
  readonly preview?: boolean;
  /**
   * Runs new copies of the stable version (the baseline) and of the canary side by side. They get no live traffic, or
   * only mirrored traffic.
   */
  readonly experiment?: { readonly durationSeconds: number; readonly replicas: number; readonly mirrorPercent: number };
  /** The checks must pass this many times at this interval, as in A/B tests. */
  readonly iterations?: { readonly count: number; readonly intervalSeconds: number };
  readonly pause?: PauseSpec;
  readonly checks: readonly CheckSpec[];
}

/**
 * How many replicas the canary has. Exactly one field is set. Without a scale step, its share of the replicas follows
 * its weight, with at least one replica.
 */
export interface CanaryScale {
  readonly replicas?: number;
  readonly percent?: number;
  readonly matchWeight?: boolean;
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
const maxIterations = 1000;
const daySeconds = 86_400;
const maxReplicas = 1000;

/** Parses a Canary, and fills in the defaults of its spec. The status passes unchecked. */
export function parseCanary(raw: unknown): Parsed<Canary> {
  const reader = new Reader(raw);
  reader.ignore("apiVersion", "kind", "status");
  const named = reader.object("metadata");
  checkRolloutName(named, "Canary");
  const metadata = named?.raw as Canary["metadata"] | undefined;
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
  const target = parseTarget(spec);
  const entries = spec.objects("steps");
  if (entries.length === 0) spec.error("must have at least one step, such as {weight: 10}", "steps");
  if (entries.length > maxSteps) spec.error(`must have at most ${maxSteps} steps, got ${entries.length}`, "steps");
  const steps = entries.slice(0, maxSteps).map(parseStep);
  const affinity = spec.object("sessionAffinity");
  const sessionAffinity =
    affinity === undefined
      ? undefined
      : {
          cookieName: cookieName(affinity) ?? "serin-canary",
          maxAgeSeconds: affinity.integer("maxAgeSeconds", 1, 30 * daySeconds) ?? daySeconds,
        };
  affinity?.unknownFields();
  const result: CanarySpec = {
    target: target ?? noTarget,
    steps,
    checks: parseChecks(spec, "checks"),
    ...(sessionAffinity === undefined ? {} : { sessionAffinity }),
    dynamicStableScale: spec.boolean("dynamicStableScale") ?? false,
    scaleDownDelaySeconds: spec.integer("scaleDownDelaySeconds", 0, 30 * daySeconds) ?? 0,
    ...parseOrders(spec),
  };
  spec.unknownFields();
  if (target !== undefined) {
    checkFit(spec, target, result);
    warnOfCanaryFields(spec, result);
  }
  return result;
}

function cookieName(affinity: Reader): string | undefined {
  const name = affinity.string("cookieName");
  const fault = name === undefined ? undefined : cookieNameFault(name);
  if (fault !== undefined) affinity.error(fault, "cookieName");
  return name;
}

function checkFit(
  spec: Reader,
  target: CanaryTarget,
  { steps, checks, dynamicStableScale, sessionAffinity }: CanarySpec,
): void {
  const copies = "deployment" in target;
  if (dynamicStableScale && !copies)
    spec.error(
      "needs target.deployment: the engine scales only Deployments that it created or manages",
      "dynamicStableScale",
    );
  const connections = movesConnections(target);
  if (sessionAffinity !== undefined && (connections || "grpcRoute" in target))
    spec.error("needs an HTTP route, because other clients keep no cookies; remove it", "sessionAffinity");
  if (copies) checkDerivedNames(spec, target.deployment, steps);
  checkWeights(spec, steps);
  refuseRequestChecks(spec, target, checks, "checks");
  steps.forEach((step, index) => {
    checkMatchFit(spec, target, step, `steps[${index}]`);
    refuseRequestChecks(spec, target, step.checks, `steps[${index}].checks`);
    if (connections && step.mirror !== undefined)
      spec.error("needs an http route: connections cannot be mirrored", `steps[${index}].mirror`);
    for (const field of ["scale", "preview", "experiment"] as const) {
      if (step[field] !== undefined && !copies)
        spec.error(
          `needs target.deployment: with another target, you run the versions yourself`,
          `steps[${index}].${field}`,
        );
    }
  });
  if (copies && steps.some(({ preview }) => preview === true) && target.deployment.previewService === undefined)
    spec.error("is required by a step with preview, such as web-preview", "target.deployment.previewService");
}

/** Warns of fields of a Canary that the engine reads, but that change nothing beside the other fields. */
function warnOfCanaryFields(spec: Reader, { target, steps, scaleDownDelaySeconds, onDeletion }: CanarySpec): void {
  if (scaleDownDelaySeconds > 0 && !("deployment" in target))
    spec.warnNoEffect(
      "has no effect without target.deployment, because you run the pods of both versions yourself; remove it",
      "scaleDownDelaySeconds",
    );
  if (onDeletion === "Leave" && "deployment" in target)
    spec.warnNoEffect(
      "has no effect with target.deployment, because the engine's route and copy of the pods go with the Canary; remove it",
      "onDeletion",
    );
  let weight = 0;
  steps.forEach((step, index) => {
    weight = step.weight ?? weight;
    if (step.match !== undefined && weight === 100)
      spec.warnNoEffect(
        "has no effect at weight 100, where all requests go to the canary; remove it, or match in an earlier step",
        `steps[${index}].match`,
      );
    if (step.mirror !== undefined && (step.experiment?.mirrorPercent ?? 0) > 0)
      spec.warnNoEffect(
        "has no effect beside experiment.mirrorPercent, which copies requests to the experiment alone; remove it, or use a step of its own",
        `steps[${index}].mirror`,
      );
  });
}

/** Reports names that are too long for the copies and Services that the engine creates with a suffix. */
function checkDerivedNames(
  spec: Reader,
  { name, service, routes }: DeploymentTarget,
  steps: readonly CanaryStep[],
): void {
  const suffix = steps.some(({ experiment }) => experiment !== undefined) ? "-experiment-baseline" : "-canary";
  const check = (field: "name" | "service", given: string, longest: number): void => {
    const most = longest - suffix.length;
    if (given.length > most)
      spec.error(
        `must have at most ${most} characters, because the engine makes an object named ${field.toUpperCase()}${suffix}, got ${given.length}`,
        `target.deployment.${field}`,
      );
  };
  check("name", name, maxDeploymentNameLength);
  if (routes === "HTTPRoute") check("service", service, maxServiceNameLength);
}

/** Checks that weights do not decrease. A person who wants a lower weight undoes the Canary. */
function checkWeights(spec: Reader, steps: readonly CanaryStep[]): void {
  let before = 0;
  steps.forEach(({ weight }, index) => {
    if (weight === undefined) return;
    if (weight < before)
      spec.error(`must not be below the ${before} of an earlier step, got ${weight}`, `steps[${index}].weight`);
    before = Math.max(before, weight);
  });
}

const ofRequests: ReadonlySet<string> = new Set(["request-success-rate", "request-duration", "request-share"]);

/**
 * Reports checks that would wait forever. Skips references, because this parser cannot see the type of the Check that
 * they name.
 */
function refuseRequestChecks(spec: Reader, target: CanaryTarget, checks: readonly CheckSpec[], place: string): void {
  checks.forEach((check, index) => {
    const fault = check.ref === undefined ? requestCheckFault(target, check) : undefined;
    if (fault !== undefined) spec.error(fault, `${place}[${index}].type`);
  });
}

/**
 * Why the check could never pass on the target. Proxies count connections of a tcp or tls route, but no requests.
 * Undefined if it can pass.
 */
export function requestCheckFault(target: CanaryTarget, { type, dryRun }: CheckSpec): string | undefined {
  if (!movesConnections(target) || !ofRequests.has(type) || dryRun === true) return undefined;
  return `${type} needs an http route, because proxies count no requests of a tcp or tls route; use tcp-connect-failures`;
}

function movesConnections(target: CanaryTarget): boolean {
  return "virtualService" in target && target.virtualService.protocol !== "http";
}

/**
 * Checks that the target supports the match. A match of connections can only name the client, and a match of gRPC calls
 * has no paths and query parameters.
 */
function checkMatchFit(spec: Reader, target: CanaryTarget, { match }: CanaryStep, place: string): void {
  if (match === undefined) return;
  const refused = movesConnections(target)
    ? (["headers", "cookies", "queryParams", "paths"] as const)
    : "grpcRoute" in target
      ? (["queryParams", "paths"] as const)
      : [];
  for (const field of refused) {
    if (match[field].length > 0)
      spec.error(
        movesConnections(target)
          ? "needs an http route: a step cannot select single connections, only callers by their labels (sourceLabels)"
          : "needs an HTTPRoute: a GRPCRoute matches by headers",
        `${place}.match.${field}`,
      );
  }
  if (Object.keys(match.sourceLabels).length > 0 && !hasVirtualServices(target))
    spec.error(
      "needs routes that are VirtualServices, because a route of the Gateway API cannot match callers by their labels",
      `${place}.match.sourceLabels`,
    );
}

/**
 * Whether all routes are VirtualServices. Only these match callers by their labels (also in tcp and tls routes). Other
 * kinds would send the requests of all callers to the canary.
 */
function hasVirtualServices(target: CanaryTarget): boolean {
  if ("virtualService" in target) return true;
  if ("deployment" in target) return target.deployment.routes === "VirtualService";
  if ("services" in target) return target.services.routes === "VirtualService";
  return "namespaces" in target && target.namespaces.routes.every(({ kind }) => kind === "VirtualService");
}

const noTarget: CanaryTarget = {
  httpRoute: { name: "", rule: 0, stable: { name: "", port: 0 }, canary: { name: "", port: 0 } },
};

function parseStep(step: Reader): CanaryStep {
  const name = step.string("name");
  const weight = step.integer("weight", 0, 100);
  const match = parseTrafficMatch(step);
  const mirror = step.object("mirror");
  const percent = mirror === undefined ? undefined : (mirror.integer("percent", 1, 100) ?? 100);
  mirror?.unknownFields();
  const scale = parseScale(step);
  const preview = step.boolean("preview");
  const experiment = parseExperiment(step);
  const iterations = parseIterations(step);
  const pause = parsePause(step);
  const checks = parseChecks(step, "checks");
  step.unknownFields();
  // A field with a wrong value counts as present, because it is already reported at the field.
  const hasTraffic = ["weight", "match", "mirror", "scale", "preview", "experiment", "pause"].some((field) =>
    step.has(field),
  );
  if (!hasTraffic && checks.length === 0)
    step.error("must have at least one of weight, match, mirror, scale, preview, experiment, pause or checks");
  return {
    ...(name === undefined ? {} : { name }),
    ...(weight === undefined ? {} : { weight }),
    ...(match === undefined ? {} : { match }),
    ...(percent === undefined ? {} : { mirror: { percent } }),
    ...(scale === undefined ? {} : { scale }),
    ...(preview === undefined ? {} : { preview }),
    ...(experiment === undefined ? {} : { experiment }),
    ...(iterations === undefined ? {} : { iterations }),
    ...(pause === undefined ? {} : { pause }),
    checks,
  };
}

function parseScale(step: Reader): CanaryScale | undefined {
  const scale = step.object("scale");
  if (scale === undefined) return undefined;
  const replicas = scale.integer("replicas", 0, maxReplicas);
  const percent = scale.integer("percent", 0, 100);
  const matchWeight = scale.boolean("matchWeight");
  scale.unknownFields();
  if (matchWeight === false)
    scale.error("must be true; to set a number of pods instead, use replicas or percent", "matchWeight");
  const presentCount = [replicas, percent, matchWeight].filter((value) => value !== undefined).length;
  if (presentCount !== 1) scale.error("must have exactly one of replicas, percent and matchWeight");
  return {
    ...(replicas === undefined ? {} : { replicas }),
    ...(percent === undefined ? {} : { percent }),
    ...(matchWeight === undefined ? {} : { matchWeight }),
  };
}

function parseExperiment(step: Reader): CanaryStep["experiment"] {
  const experiment = step.object("experiment");
  if (experiment === undefined) return undefined;
  const result = {
    durationSeconds: experiment.required("durationSeconds", experiment.integer("durationSeconds", 1, daySeconds)) ?? 1,
    replicas: experiment.integer("replicas", 1, maxReplicas) ?? 1,
    mirrorPercent: experiment.integer("mirrorPercent", 0, 100) ?? 0,
  };
  experiment.unknownFields();
  return result;
}

function parseIterations(step: Reader): CanaryStep["iterations"] {
  const iterations = step.object("iterations");
  if (iterations === undefined) return undefined;
  const result = {
    count: iterations.required("count", iterations.integer("count", 1, maxIterations)) ?? 1,
    intervalSeconds: iterations.integer("intervalSeconds", 1, daySeconds) ?? 60,
  };
  iterations.unknownFields();
  return result;
}
