import { counted } from "../base/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import type { WaveOrder } from "./static-checks/wave-order.ts";
import type { InjectedWorkload } from "./static-checks/workloads.ts";
import type { PlannedUpgrade } from "./options.ts";
import type { EstimatePart, EstimateReport, WorkloadsReport } from "./report.ts";

export interface EstimateInput extends Pick<
  PlannedUpgrade,
  "scope" | "ztunnel" | "gatewayWeights" | "waypointWeights" | "soakSeconds"
> {
  readonly workloads: Omit<WorkloadsReport, "injection">;
  readonly injected: readonly InjectedWorkload[];
  readonly order: WaveOrder;
  /** The pods of the old control plane. Their start shows how long the new pods will take. */
  readonly controlPlanePods: readonly Pod[];
}

/** The time until a pod becomes ready, if no existing pod shows it. */
const assumedReadySeconds = 10;
/** How long a step takes to settle and to be judged, as measured on a mesh with some traffic. */
const judgedStepSeconds = 5;
const probeSeconds = 10;
/** A gateway or waypoint has two steps besides its weights: one changes its owner, and one removes its canary. */
const closingSteps = 2;

/** Estimates how long an upgrade takes if nothing fails and no step waits for a person, and explains the estimate. */
export function estimate(input: EstimateInput): EstimateReport {
  const { workloads, scope, soakSeconds, order } = input;
  const parts: EstimatePart[] = [
    installPart(input),
    { what: "probe matrix", how: `${probeSeconds} s (assumed)`, seconds: probeSeconds },
  ];
  if (scope.ztunnel) parts.push(...ztunnelPart(input));
  if (scope.namespaces) parts.push(...order.waves.flatMap(wavePart));
  if (scope.gateways)
    for (const { namespace, name } of workloads.gateways)
      parts.push(gatewayPart("gateway", `${namespace}/${name}`, input.gatewayWeights.length, input));
  if (scope.waypoints)
    for (const { namespace, name } of workloads.waypoints)
      parts.push(gatewayPart("waypoint", `${namespace}/${name}`, input.waypointWeights.length, input));
  if (soakSeconds > 0) parts.push({ what: "soak", how: `soakSeconds: ${soakSeconds}`, seconds: soakSeconds });
  const live = workloads.ztunnels.reduce((sum, { liveConnections = 0 }) => sum + liveConnections, 0);
  if (live > 0)
    parts.push({
      what: "retire",
      how: `until the last of the ztunnels' ${live} live connections ends; not counted`,
      seconds: 0,
    });
  return { seconds: round(parts.reduce((sum, { seconds }) => sum + seconds, 0)), parts };
}

function installPart({ controlPlanePods }: EstimateInput): EstimatePart {
  const ready = readySeconds(controlPlanePods);
  return { what: "install", how: `${text(ready)}, as for the old control plane`, seconds: round(ready.seconds) };
}

function ztunnelPart({ workloads, ztunnel: { by, maxConcurrent } }: EstimateInput): EstimatePart[] {
  const pods = workloads.ztunnels.reduce((sum, { enrolledPods }) => sum + enrolledPods, 0);
  if (pods === 0) return [];
  const counts = {
    Pod: pods,
    Namespace: workloads.namespaces.filter(({ mode, pods: own }) => mode === "ambient" && own > 0).length,
    Node: workloads.ztunnels.filter(({ enrolledPods }) => enrolledPods > 0).length,
  };
  const steps = Math.ceil(counts[by] / maxConcurrent);
  return [
    {
      what: "ztunnel",
      how: `${counted(pods, "enrolled pod")}, by ${by}, ${maxConcurrent} at once: ${counted(steps, "step")} x ${judgedStepSeconds} s (assumed: settle and judge)`,
      seconds: steps * judgedStepSeconds,
    },
  ];
}

/** The duration of a wave. It restarts `maxUnavailable` workloads at a time, each by a rolling update. */
function wavePart({
  wave: { name, maxUnavailable, soakSeconds },
  workloads,
}: WaveOrder["waves"][number]): EstimatePart[] {
  const own = workloads.filter(({ object }) => object !== undefined);
  if (own.length === 0) return [];
  const seconds = own
    .map(({ pods }) => roundsOf(pods.length) * readySeconds(pods).seconds)
    .toSorted((left, right) => right - left);
  const batches = seconds.filter((_, index) => index % maxUnavailable === 0);
  const restart = batches.reduce((sum, batch) => sum + batch, 0);
  const judged = new Set(own.map(({ namespace }) => namespace)).size * judgedStepSeconds;
  const soak = soakSeconds === 0 ? "" : ` + ${soakSeconds} s soak`;
  const slowest = `slowest: ${round(seconds[0] ?? 0)} s`;
  return [
    {
      what: name,
      how: `${counted(own.length, "workload")}, ${maxUnavailable} at once: ${round(restart)} s to ready, as for their present pods (${slowest}) + ${judged} s to judge (assumed)${soak}`,
      seconds: round(restart + judged + soakSeconds),
    },
  ];
}

const defaultSurge = 0.25;

/**
 * How many rounds a rolling update needs if it replaces a quarter of the pods in each, which is Kubernetes' default
 * surge.
 */
function roundsOf(replicas: number): number {
  return Math.ceil(replicas / Math.max(1, Math.ceil(replicas * defaultSurge)));
}

function gatewayPart(
  word: string,
  name: string,
  weights: number,
  { injected, controlPlanePods }: EstimateInput,
): EstimatePart {
  const own = injected.find((workload) => `${workload.namespace}/${workload.name}` === name)?.pods ?? controlPlanePods;
  const ready = readySeconds(own);
  const steps = weights + closingSteps;
  return {
    what: `${word} ${name}`,
    how: `${steps} steps x ${judgedStepSeconds} s (assumed) + 2 x ${text(ready)}`,
    seconds: round(steps * judgedStepSeconds + 2 * ready.seconds),
  };
}

interface Ready {
  readonly seconds: number;
  readonly samples: number;
}

function text({ seconds, samples }: Ready): string {
  return samples === 0
    ? `${seconds} s to ready (assumed)`
    : `${round(seconds)} s to ready (median of ${samples} pod${samples === 1 ? "" : "s"})`;
}

/**
 * A pod that became ready later than this after its creation probably lost its readiness for a while. Kubernetes counts
 * a Deployment as failed after this time, unless the Deployment sets another.
 */
const longestStartSeconds = 600;

/**
 * The median time from a pod's creation to its readiness. Leaves out pods that restarted or became ready a second time,
 * because a pod's status has only the latest change of its readiness.
 */
export function readySeconds(pods: readonly Pod[]): Ready {
  const seconds = pods
    .flatMap(({ metadata, status }) => {
      const ready = status?.conditions?.find(({ type }) => type === "Ready");
      const restarts = (status?.containerStatuses ?? []).some(({ restartCount }) => restartCount > 0);
      if (ready?.status !== "True" || restarts || ready.lastTransitionTime === undefined) return [];
      return [
        Math.max(1, (Date.parse(ready.lastTransitionTime) - Date.parse(metadata.creationTimestamp ?? "")) / 1000),
      ];
    })
    .filter((value) => value <= longestStartSeconds)
    .toSorted((left, right) => left - right);
  const middle = seconds[Math.floor(seconds.length / 2)];
  return middle === undefined
    ? { seconds: assumedReadySeconds, samples: 0 }
    : { seconds: middle, samples: seconds.length };
}

function round(seconds: number): number {
  return Math.round(seconds * 10) / 10;
}
