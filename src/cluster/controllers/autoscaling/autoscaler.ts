import { jsonEqual, messageOf, ownField } from "../../../base/index.ts";
import {
  horizontalPodAutoscalerKind,
  type AutoscalerMetric,
  type HorizontalPodAutoscaler,
} from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import {
  initialMemory,
  planReplicas,
  rememberChange,
  type AutoscalerMemory,
  type PlannedCondition,
} from "./autoscaler-plan.ts";
import { readPods, readScale, readUsage, writeScale, type TargetScale } from "./autoscaler-sources.ts";
import {
  MetricFault,
  proposeReplicas,
  type MetricProposal,
  type ResourceMetric,
  type UsageInputs,
} from "./autoscaler-usage.ts";
import { changesStatus, type ControllerContext } from "../controller.ts";

const syncMs = 15_000;
const defaultTolerance = 0.1;

export interface AutoscalerOptions {
  /**
   * Whether autoscalers follow metrics. If not, they only keep replicas within their bounds, and their status says that
   * metrics are off.
   */
  readonly followsMetrics: boolean;
}

/** The inputs and the decision of one reconciliation of an autoscaler. */
interface Look {
  readonly current: number;
  readonly desired: number;
  readonly conditions: readonly PlannedCondition[];
  readonly metrics?: readonly Record<string, unknown>[];
  /** The reason for new replicas, for the event. */
  readonly why: string;
  readonly memory?: AutoscalerMemory;
}

/**
 * Sets the replicas of autoscalers' targets by the resource use of their pods. Checks every 15 seconds, as in
 * Kubernetes.
 */
export function addAutoscalerController(context: ControllerContext, options: AutoscalerOptions): void {
  const autoscalers = context.view(horizontalPodAutoscalerKind);
  const controller = new AutoscalerController(context, options);
  const queue = context.queue("autoscaler", async (key) => {
    const autoscaler = autoscalers.at(key);
    if (autoscaler?.spec === undefined) return controller.forget(key);
    await controller.look(key, autoscaler, autoscaler.spec);
    return syncMs;
  });
  autoscalers.onChange((change) => {
    // Ignore changes of the status alone, because the controller itself writes it.
    const before = change.type === "set" ? change.previous : undefined;
    if (before === undefined || !jsonEqual(before.spec, change.object.spec)) queue.add(change.key);
  });
}

type Spec = NonNullable<HorizontalPodAutoscaler["spec"]>;

class AutoscalerController {
  readonly #context: ControllerContext;
  readonly #followsMetrics: boolean;
  readonly #record: ReturnType<ControllerContext["events"]>;
  readonly #memories = new Map<string, AutoscalerMemory>();

  constructor(context: ControllerContext, { followsMetrics }: AutoscalerOptions) {
    this.#context = context;
    this.#followsMetrics = followsMetrics;
    this.#record = context.events("horizontal-pod-autoscaler");
  }

  forget(key: string): void {
    this.#memories.delete(key);
  }

  async look(key: string, autoscaler: HorizontalPodAutoscaler, spec: Spec): Promise<void> {
    const { client, clock } = this.#context;
    let scale: TargetScale;
    try {
      scale = await readScale(client, autoscaler.metadata.namespace ?? "", spec.scaleTargetRef);
    } catch (error) {
      this.#warn(autoscaler, "FailedGetScale", messageOf(error));
      const { currentReplicas = 0, desiredReplicas = 0 } = autoscaler.status ?? {};
      const message = `the HPA controller was unable to get the target's current scale: ${messageOf(error)}`;
      const conditions = [able("False", "FailedGetScale", message)];
      const look = { current: currentReplicas, desired: desiredReplicas, conditions, why: "" };
      return await this.#writeStatus(autoscaler, look, false);
    }
    const memory = this.#memories.get(key) ?? initialMemory(scale.replicas, clock.nowMs());
    const look = await this.#decide(autoscaler, spec, scale, memory);
    const kept = look.memory ?? memory;
    const scaled = look.desired === look.current ? undefined : await this.#rescale(autoscaler, scale, look);
    const isScaled = scaled?.status === "True";
    this.#memories.set(key, isScaled ? rememberChange(kept, look.current, look.desired, clock.nowMs()) : kept);
    const conditions = [...look.conditions, ...(scaled === undefined ? [] : [scaled])];
    await this.#writeStatus(autoscaler, { ...look, conditions }, isScaled);
  }

  async #decide(
    autoscaler: HorizontalPodAutoscaler,
    spec: Spec,
    scale: TargetScale,
    memory: AutoscalerMemory,
  ): Promise<Look> {
    const { minReplicas = 1, maxReplicas } = spec;
    const current = scale.replicas;
    const found = able("True", "SucceededGetScale", "the HPA controller was able to get the target's current scale");
    if (current === 0) {
      const message = "scaling is disabled since the replica count of the target is zero";
      return { current, desired: 0, conditions: [found, active("False", "ScalingDisabled", message)], why: "" };
    }
    const conditions = this.#followsMetrics
      ? [found]
      : [found, active("False", "FailedGetResourceMetric", notFollowing)];
    if (current > maxReplicas)
      return { current, desired: maxReplicas, conditions, why: "Current number of replicas above Spec.MaxReplicas" };
    if (current < minReplicas)
      return { current, desired: minReplicas, conditions, why: "Current number of replicas below Spec.MinReplicas" };
    if (!this.#followsMetrics) return { current, desired: current, conditions, why: "" };
    return await this.#decideByMetrics(autoscaler, spec, scale, memory);
  }

  async #decideByMetrics(
    autoscaler: HorizontalPodAutoscaler,
    spec: Spec,
    scale: TargetScale,
    memory: AutoscalerMemory,
  ): Promise<Look> {
    const current = scale.replicas;
    const { proposals, faults } = await this.#propose(autoscaler.metadata.namespace ?? "", spec, scale);
    const best = proposals.reduce<MetricProposal | undefined>(
      (most, proposal) => (most === undefined || proposal.replicas > most.replicas ? proposal : most),
      undefined,
    );
    const metrics = proposals.map(({ status }) => status);
    const [fault] = faults;
    // While a metric is unknown, removing pods is not safe.
    if (best === undefined || (fault !== undefined && best.replicas < current)) {
      const { reason, message } = fault ?? new MetricFault("InvalidMetricSourceType", "it has no metrics");
      this.#warn(autoscaler, reason, message);
      const condition = active("False", reason, `the HPA was unable to compute the replica count: ${message}`);
      return { current, desired: current, conditions: [condition], metrics, why: "" };
    }
    const nowMs = this.#context.clock.nowMs();
    const plan = planReplicas(spec, { current, recommended: best.replicas, memory, nowMs });
    const message = `the HPA was able to successfully calculate a replica count from ${best.name}`;
    return {
      current,
      desired: plan.replicas,
      conditions: [active("True", "ValidMetricFound", message), ...plan.conditions],
      metrics,
      why: plan.replicas > current ? `${best.name} above target` : "All metrics below target",
      memory: plan.memory,
    };
  }

  async #propose(
    namespace: string,
    { metrics = [], behavior }: Spec,
    { replicas, selector }: TargetScale,
  ): Promise<{ proposals: MetricProposal[]; faults: MetricFault[] }> {
    const { client, clock } = this.#context;
    const [pods, measured] = await Promise.all([
      readPods(client, namespace, selector),
      readUsage(client, namespace, selector),
    ]);
    const tolerance = {
      up: Number(behavior?.scaleUp?.tolerance ?? defaultTolerance),
      down: Number(behavior?.scaleDown?.tolerance ?? defaultTolerance),
    };
    const inputs: UsageInputs = { pods, measured, currentReplicas: replicas, tolerance, nowMs: clock.nowMs() };
    const proposals: MetricProposal[] = [];
    const faults: MetricFault[] = [];
    for (const metric of metrics) {
      try {
        proposals.push(proposeReplicas(resourceMetricOf(metric), inputs));
      } catch (error) {
        if (!(error instanceof MetricFault)) throw error;
        faults.push(error);
      }
    }
    return { proposals, faults };
  }

  async #rescale(
    autoscaler: HorizontalPodAutoscaler,
    scale: TargetScale,
    { desired, why }: Look,
  ): Promise<PlannedCondition> {
    const message = `New size: ${desired}; reason: ${why}`;
    try {
      await writeScale(this.#context.client, scale, desired);
    } catch (error) {
      this.#warn(autoscaler, "FailedRescale", `${message}; error: ${messageOf(error)}`);
      const fault = `the HPA controller was unable to update the target scale: ${messageOf(error)}`;
      return able("False", "FailedUpdateScale", fault);
    }
    this.#record(horizontalPodAutoscalerKind, autoscaler, { type: "Normal", reason: "SuccessfulRescale", message });
    return able("True", "SucceededRescale", `the HPA controller was able to update the target scale to ${desired}`);
  }

  async #writeStatus(autoscaler: HorizontalPodAutoscaler, look: Look, isScaled: boolean): Promise<void> {
    const { name = "", namespace, generation } = autoscaler.metadata;
    const metrics = look.metrics ?? autoscaler.status?.currentMetrics ?? [];
    const now = this.#context.now();
    const status = {
      ...(generation === undefined ? {} : { observedGeneration: generation }),
      ...(isScaled ? { lastScaleTime: now } : {}),
      currentReplicas: look.current,
      desiredReplicas: look.desired,
      currentMetrics: metrics.length === 0 ? null : metrics,
      conditions: mergedConditions(autoscaler, look.conditions, now),
    };
    if (!changesStatus(autoscaler.status, status)) return;
    try {
      await this.#context.client.patchMerge(
        horizontalPodAutoscalerKind,
        name,
        namespace,
        { status },
        { subresource: "status" },
      );
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
    }
  }

  #warn(autoscaler: HorizontalPodAutoscaler, reason: string, message: string): void {
    this.#record(horizontalPodAutoscalerKind, autoscaler, { type: "Warning", reason, message });
  }
}

const notFollowing =
  "this lab was created without --autoscale, so its autoscalers only keep the replicas within their bounds";

function able(status: "True" | "False", reason: string, message: string): PlannedCondition {
  return { type: "AbleToScale", status, reason, message };
}

function active(status: "True" | "False", reason: string, message: string): PlannedCondition {
  return { type: "ScalingActive", status, reason, message };
}

/**
 * The resource metric in an entry of `spec.metrics`. Throws for custom and external metrics, which the lab does not
 * serve.
 */
function resourceMetricOf({ type, resource, containerResource }: AutoscalerMetric): ResourceMetric {
  if (type === "Resource" && resource !== undefined)
    return { type, resource: resource.name, container: undefined, target: resource.target };
  if (type === "ContainerResource" && containerResource !== undefined) {
    const { name, container, target } = containerResource;
    return { type, resource: name, container, target };
  }
  const reasons: Readonly<Record<string, readonly [string, string]>> = {
    Pods: ["FailedGetPodsMetric", "custom"],
    Object: ["FailedGetObjectMetric", "custom"],
    External: ["FailedGetExternalMetric", "external"],
  };
  const [reason, api] = ownField(reasons, type) ?? ["InvalidMetricSourceType", ""];
  if (api === "") throw new MetricFault(reason, `unknown metric source type "${type}"`);
  throw new MetricFault(reason, `this cluster serves no ${api} metrics API (${api}.metrics.k8s.io)`);
}

/**
 * The conditions after an update. New conditions replace earlier ones of the same type, and the last condition of a
 * type wins.
 */
function mergedConditions(
  { status }: HorizontalPodAutoscaler,
  planned: readonly PlannedCondition[],
  now: string,
): object[] {
  const merged = new Map((status?.conditions ?? []).map((condition) => [condition.type, condition]));
  for (const condition of planned) {
    const before = status?.conditions?.find(({ type }) => type === condition.type);
    const lastTransitionTime = before?.status === condition.status ? (before.lastTransitionTime ?? now) : now;
    merged.set(condition.type, { ...condition, lastTransitionTime });
  }
  return [...merged.values()];
}
