import type { AutoscalerRules, HorizontalPodAutoscaler } from "../../../api/kubernetes/index.ts";

/** The controller's memory of an autoscaler between two reconciliations. It is lost when the controller restarts. */
export interface AutoscalerMemory {
  readonly recommendations: readonly { readonly atMs: number; readonly replicas: number }[];
  /** Recent changes of the number of replicas. A positive number means added pods. */
  readonly changes: readonly { readonly atMs: number; readonly replicas: number }[];
}

export interface PlannedCondition {
  readonly type: "AbleToScale" | "ScalingActive" | "ScalingLimited";
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
}

export interface AutoscalerPlan {
  readonly replicas: number;
  readonly conditions: readonly PlannedCondition[];
  readonly memory: AutoscalerMemory;
}

/** The default rules, for an autoscaler without `behavior`. */
const defaultDownWindowSeconds = 300;
const defaultScaleUp: Required<Omit<AutoscalerRules, "tolerance">> = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [
    { type: "Pods", value: 4, periodSeconds: 15 },
    { type: "Percent", value: 100, periodSeconds: 15 },
  ],
};
const defaultScaleDown: typeof defaultScaleUp = {
  stabilizationWindowSeconds: defaultDownWindowSeconds,
  selectPolicy: "Max",
  policies: [{ type: "Percent", value: 100, periodSeconds: 15 }],
};
/** The longest window or period that the API allows. */
const longestWindowMs = 3_600_000;

export function initialMemory(currentReplicas: number, nowMs: number): AutoscalerMemory {
  return { recommendations: [{ atMs: nowMs, replicas: currentReplicas }], changes: [] };
}

/**
 * The next number of replicas if the metrics recommend `recommended`. The autoscaler's windows, rates and bounds limit
 * it.
 */
export function planReplicas(
  spec: NonNullable<HorizontalPodAutoscaler["spec"]>,
  input: {
    readonly current: number;
    readonly recommended: number;
    readonly memory: AutoscalerMemory;
    readonly nowMs: number;
  },
): AutoscalerPlan {
  const { current, recommended, nowMs } = input;
  const up = { ...defaultScaleUp, ...spec.behavior?.scaleUp };
  const down = { ...defaultScaleDown, ...spec.behavior?.scaleDown };
  const recent = <Item extends { readonly atMs: number }>(items: readonly Item[]): Item[] =>
    items.filter(({ atMs }) => nowMs - atMs < longestWindowMs);
  const memory = { recommendations: recent(input.memory.recommendations), changes: recent(input.memory.changes) };
  const steady = stabilize({ current, recommended, up, down, memory, nowMs });
  const [minimum, maximum] = [spec.minReplicas ?? 1, spec.maxReplicas];
  const rates = { current, memory, nowMs };
  // Without `behavior`, an autoscaler may double the number of pods in one step, or raise it to four.
  const highest = spec.behavior === undefined ? Math.max(2 * current, 4) : upLimit(up, rates);
  const lowest = spec.behavior === undefined ? 0 : downLimit(down, rates);
  const limited = limit(steady.replicas, { current, minimum, maximum, highest, lowest });
  return {
    replicas: limited.replicas,
    conditions: [steady.condition, limited.condition],
    memory: { ...memory, recommendations: [...memory.recommendations, { atMs: nowMs, replicas: recommended }] },
  };
}

export function rememberChange(memory: AutoscalerMemory, from: number, to: number, nowMs: number): AutoscalerMemory {
  return { ...memory, changes: [...memory.changes, { atMs: nowMs, replicas: to - from }] };
}

interface Steady {
  readonly replicas: number;
  readonly condition: PlannedCondition;
}

/**
 * Damps the recommendation. Adds pods by the lowest recent recommendation, and removes pods by the highest recent one.
 */
function stabilize(input: {
  readonly current: number;
  readonly recommended: number;
  readonly up: typeof defaultScaleUp;
  readonly down: typeof defaultScaleDown;
  readonly memory: AutoscalerMemory;
  readonly nowMs: number;
}): Steady {
  const { current, recommended, up, down, memory, nowMs } = input;
  const within = (seconds: number): number[] => [
    recommended,
    ...memory.recommendations.filter(({ atMs }) => nowMs - atMs < seconds * 1_000).map(({ replicas }) => replicas),
  ];
  const floor = Math.min(...within(up.stabilizationWindowSeconds));
  const ceiling = Math.max(...within(down.stabilizationWindowSeconds));
  const replicas = Math.min(Math.max(current, floor), ceiling);
  const able = (reason: string, message: string): Steady => ({
    replicas,
    condition: { type: "AbleToScale", status: "True", reason, message },
  });
  if (replicas > recommended)
    return able(
      "ScaleDownStabilized",
      "recent recommendations were higher than current one, applying the highest recent recommendation",
    );
  if (replicas < recommended)
    return able(
      "ScaleUpStabilized",
      "recent recommendations were lower than current one, applying the lowest recent recommendation",
    );
  return able("ReadyForNewScale", "recommended size matches current size");
}

interface Rates {
  readonly current: number;
  readonly memory: AutoscalerMemory;
  readonly nowMs: number;
}

/** The number of replicas at the beginning of the period. */
function atPeriodStart({ current, memory, nowMs }: Rates, periodSeconds: number): number {
  return memory.changes
    .filter(({ atMs }) => nowMs - atMs < periodSeconds * 1_000)
    .reduce((replicas, change) => replicas - change.replicas, current);
}

function upLimit(rules: typeof defaultScaleUp, rates: Rates): number {
  if (rules.selectPolicy === "Disabled") return rates.current;
  const limits = rules.policies.map(({ type, value, periodSeconds }) => {
    const start = atPeriodStart(rates, periodSeconds);
    return type === "Pods" ? start + value : Math.ceil((start * (100 + value)) / 100);
  });
  return Math.max(rates.current, rules.selectPolicy === "Min" ? Math.min(...limits) : Math.max(...limits));
}

function downLimit(rules: typeof defaultScaleDown, rates: Rates): number {
  if (rules.selectPolicy === "Disabled") return rates.current;
  const limits = rules.policies.map(({ type, value, periodSeconds }) => {
    const start = atPeriodStart(rates, periodSeconds);
    return type === "Pods" ? start - value : Math.trunc((start * (100 - value)) / 100);
  });
  return Math.min(rates.current, rules.selectPolicy === "Min" ? Math.max(...limits) : Math.min(...limits));
}

function limit(
  replicas: number,
  bounds: {
    readonly current: number;
    readonly minimum: number;
    readonly maximum: number;
    readonly highest: number;
    readonly lowest: number;
  },
): Steady {
  const { minimum, maximum, highest, lowest } = bounds;
  const limited = (to: number, reason: string, message: string): Steady => ({
    replicas: to,
    condition: { type: "ScalingLimited", status: "True", reason, message },
  });
  if (replicas > Math.min(maximum, highest))
    return maximum <= highest
      ? limited(maximum, "TooManyReplicas", "the desired replica count is more than the maximum replica count")
      : limited(highest, "ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate");
  if (replicas < Math.max(minimum, lowest))
    return minimum >= lowest
      ? limited(minimum, "TooFewReplicas", "the desired replica count is less than the minimum replica count")
      : limited(lowest, "ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate");
  const message = "the desired count is within the acceptable range";
  return { replicas, condition: { type: "ScalingLimited", status: "False", reason: "DesiredWithinRange", message } };
}
