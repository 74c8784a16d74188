import type { AutoscalerTarget, Container, Pod } from "../../../api/kubernetes/index.ts";
import { ownField } from "../../../base/index.ts";
import { canonicalQuantity, parseQuantity } from "../../schema/quantity.ts";
import { isTerminating, podCondition } from "../pods/pod-facts.ts";

/** The answer of the metrics API for one pod. */
export interface MeasuredPod {
  readonly atMs: number;
  readonly windowMs: number;
  readonly containers: readonly { readonly name: string; readonly usage: Readonly<Record<string, string>> }[];
}

/** A metric of an autoscaler: a resource of pods, or of one container of each pod. */
export interface ResourceMetric {
  readonly type: "Resource" | "ContainerResource";
  readonly resource: string;
  readonly container: string | undefined;
  readonly target: AutoscalerTarget;
}

export interface UsageInputs {
  readonly pods: readonly Pod[];
  /** The measured pods by name. */
  readonly measured: ReadonlyMap<string, MeasuredPod>;
  readonly currentReplicas: number;
  /** The tolerance of the target. A ratio of usage to target between 1 - down and 1 + up changes nothing. */
  readonly tolerance: { readonly up: number; readonly down: number };
  readonly nowMs: number;
}

export interface MetricProposal {
  readonly replicas: number;
  /** The name of the metric in conditions and events. */
  readonly name: string;
  /** The entry of `status.currentMetrics`. */
  readonly status: Record<string, unknown>;
}

/** Thrown if the metric cannot be computed. The message goes into the condition `ScalingActive`. */
export class MetricFault extends Error {
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

/**
 * A pod uses much CPU while it starts. During this time, its usage counts only if the pod was ready for the whole
 * window of the measurement.
 */
const cpuInitializationMs = 300_000;
/** If a pod became unready this soon after its start, assume that it has never been ready. */
const initialReadinessMs = 30_000;

/** The number of replicas with which the average usage would meet the target. Throws {@link MetricFault}. */
export function proposeReplicas(metric: ResourceMetric, inputs: UsageInputs): MetricProposal {
  const { target, resource, container } = metric;
  const isUtilization = target.averageUtilization !== undefined;
  const named = container === undefined ? `${resource} resource` : `${resource} container resource`;
  const name = isUtilization ? `${named} utilization (percentage of request)` : named;
  const groups = groupPods(metric, inputs);
  if (groups.usage.size === 0) throw fault(metric, "did not receive metrics for targeted pods (pods might be unready)");
  const scale = isUtilization ? utilizationScale(metric, inputs.pods) : averageScale(metric);
  const now = scale.ratio(groups.usage);
  const current = {
    ...(now.utilization === undefined ? {} : { averageUtilization: now.utilization }),
    averageValue: milliText(now.averageMilli),
  };
  const status =
    container === undefined
      ? { type: metric.type, resource: { name: resource, current } }
      : { type: metric.type, containerResource: { name: resource, container, current } };
  return { replicas: replicasOf(now.ratio, groups, scale, inputs), name, status };
}

interface Groups {
  /** The usage of ready pods, in thousandths of the unit. */
  readonly usage: Map<string, number>;
  readonly unready: ReadonlySet<string>;
  readonly missing: ReadonlySet<string>;
}

interface Ratio {
  readonly ratio: number;
  readonly averageMilli: number;
  readonly utilization?: number;
}

interface Scale {
  readonly ratio: (usage: ReadonlyMap<string, number>) => Ratio;
  /** The usage to assume for a pod without measurements if the measured pods use less than the target. */
  readonly assumedMilli: (pod: string) => number;
}

function replicasOf(ratio: number, { usage, unready, missing }: Groups, scale: Scale, inputs: UsageInputs): number {
  const { currentReplicas, tolerance } = inputs;
  const isSmall = (value: number): boolean => value >= 1 - tolerance.down && value <= 1 + tolerance.up;
  const countsUnready = unready.size > 0 && ratio > 1;
  if (!countsUnready && missing.size === 0) return isSmall(ratio) ? currentReplicas : Math.ceil(ratio * usage.size);
  // Assume the usage that speaks against the change, so that pods without measurements never make it larger.
  const assumed = new Map(usage);
  if (missing.size > 0 && ratio !== 1)
    for (const pod of missing) assumed.set(pod, ratio < 1 ? scale.assumedMilli(pod) : 0);
  if (countsUnready) for (const pod of unready) assumed.set(pod, 0);
  const { ratio: next } = scale.ratio(assumed);
  if (isSmall(next) || (ratio < 1 && next > 1) || (ratio > 1 && next < 1)) return currentReplicas;
  const replicas = Math.ceil(next * assumed.size);
  const turns = (next < 1 && replicas > currentReplicas) || (next > 1 && replicas < currentReplicas);
  return turns ? currentReplicas : replicas;
}

function utilizationScale(metric: ResourceMetric, pods: readonly Pod[]): Scale {
  const target = metric.target.averageUtilization ?? 0;
  const requests = new Map(pods.map((pod) => [pod.metadata.name ?? "", requestMilli(metric, pod)]));
  const ratio = (usage: ReadonlyMap<string, number>): Ratio => {
    let [used, requested] = [0, 0];
    for (const [pod, milli] of usage) {
      used += milli;
      requested += requests.get(pod) ?? 0;
    }
    if (requested === 0) throw fault(metric, "no metrics returned matched known pods");
    const utilization = Math.trunc((used * 100) / requested);
    return { ratio: utilization / target, averageMilli: Math.trunc(used / usage.size), utilization };
  };
  const assumedMilli = (pod: string): number => ((requests.get(pod) ?? 0) * Math.max(100, target)) / 100;
  return { ratio, assumedMilli };
}

function averageScale({ target }: ResourceMetric): Scale {
  const targetMilli = milliOf(target.averageValue);
  const ratio = (usage: ReadonlyMap<string, number>): Ratio => {
    const used = [...usage.values()].reduce((sum, milli) => sum + milli, 0);
    const averageMilli = Math.trunc(used / usage.size);
    return { ratio: averageMilli / targetMilli, averageMilli };
  };
  return { ratio, assumedMilli: () => targetMilli };
}

function groupPods(metric: ResourceMetric, { pods, measured, nowMs }: UsageInputs): Groups {
  const usage = new Map<string, number>();
  const unready = new Set<string>();
  const missing = new Set<string>();
  for (const pod of pods) {
    const name = pod.metadata.name ?? "";
    if (isTerminating(pod) || pod.status?.phase === "Failed") continue;
    const found = measured.get(name);
    const milli = found === undefined ? undefined : usedMilli(metric, found);
    if (pod.status?.phase === "Pending") unready.add(name);
    else if (found === undefined || milli === undefined) missing.add(name);
    else if (metric.resource === "cpu" && isStarting(pod, found, nowMs)) unready.add(name);
    else usage.set(name, milli);
  }
  return { usage, unready, missing };
}

/** Whether the pod was still starting, or may have been, at the time of its measurement. */
function isStarting(pod: Pod, { atMs, windowMs }: MeasuredPod, nowMs: number): boolean {
  const ready = podCondition(pod, "Ready");
  const startMs = Date.parse(pod.status?.startTime ?? "");
  if (ready === undefined || Number.isNaN(startMs)) return true;
  const changedMs = Date.parse(ready.lastTransitionTime ?? "") || startMs;
  if (startMs + cpuInitializationMs > nowMs) return ready.status === "False" || atMs < changedMs + windowMs;
  return ready.status === "False" && startMs + initialReadinessMs > changedMs;
}

/**
 * Returns the pod's usage in thousandths of the unit, or undefined if the metrics lack the resource or the container.
 */
function usedMilli({ resource, container }: ResourceMetric, measured: MeasuredPod): number | undefined {
  const counted = measured.containers.filter(({ name }) => container === undefined || name === container);
  if (counted.length === 0 || counted.some(({ usage }) => ownField(usage, resource) === undefined)) return undefined;
  return counted.reduce((sum, { usage }) => sum + milliOf(ownField(usage, resource)), 0);
}

function requestMilli(metric: ResourceMetric, pod: Pod): number {
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  const all: readonly Container[] = [...(pod.spec?.containers ?? []), ...sidecars];
  const counted = all.filter(({ name }) => metric.container === undefined || name === metric.container);
  return counted.reduce((sum, { name, resources }) => {
    const request = ownField(resources?.requests, metric.resource);
    if (request === undefined)
      throw fault(metric, `missing request for ${metric.resource} in container ${name} of Pod ${pod.metadata.name}`);
    return sum + milliOf(request);
  }, 0);
}

function fault({ resource, container, target }: ResourceMetric, message: string): MetricFault {
  const measure = target.averageUtilization === undefined ? "usage" : "utilization";
  const [reason, named] =
    container === undefined
      ? ["FailedGetResourceMetric", resource]
      : ["FailedGetContainerResourceMetric", `${resource} container`];
  return new MetricFault(reason ?? "", `failed to get ${named} ${measure}: ${message}`);
}

function milliOf(text: string | undefined): number {
  const nanos = parseQuantity(text ?? "")?.nanos ?? 0n;
  return Number((nanos + 999_999n) / 1_000_000n);
}

function milliText(milli: number): string {
  return canonicalQuantity(`${milli}m`);
}
