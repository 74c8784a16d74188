import {
  tolerates,
  type Lease,
  type Node,
  type NodeCondition,
  type Pod,
  type Taint,
} from "../../../api/kubernetes/index.ts";

/** How long a node may be silent, as with kube-controller-manager's --node-monitor-grace-period. */
const graceMs = 50_000;
const notReady = "node.kubernetes.io/not-ready";
const unreachable = "node.kubernetes.io/unreachable";
const unschedulable = "node.kubernetes.io/unschedulable";
const managed = new Set([notReady, unreachable, unschedulable]);

export interface NodeVerdict {
  /** The Ready status that the node reports, or Unknown if it has been silent for too long. */
  readonly ready: "True" | "False" | "Unknown";
  /** The time until the node counts as silent for too long. */
  readonly lookAgainMs: number;
}

/** Judges a node by its Ready condition, and by the time since this process last saw its lease change. */
export function judgeNode(
  node: Node,
  lease: Lease | undefined,
  leaseSeenMs: number | undefined,
  nowMs: number,
): NodeVerdict {
  const condition = readyOf(node);
  // Use the latest sign of life. A node that has just registered again may still have its old lease.
  const signs = [lease?.spec?.renewTime, condition?.lastHeartbeatTime, node.metadata.creationTimestamp];
  const lastSign = Math.max(leaseSeenMs ?? 0, ...signs.map((sign) => Date.parse(sign ?? "") || 0));
  const leftMs = lastSign + graceMs - nowMs;
  if (leftMs <= 0) return { ready: "Unknown", lookAgainMs: graceMs };
  // An Unknown that this controller wrote earlier stays until the node itself replaces it.
  return { ready: condition?.status ?? "Unknown", lookAgainMs: leftMs };
}

/**
 * The taints of a node in this state, together with those of other writers. A taint that the node already has stays
 * unchanged.
 */
export function wantedTaints(node: Node, ready: NodeVerdict["ready"]): Taint[] {
  const kept = (node.spec?.taints ?? []).filter((taint) => !managed.has(taint.key));
  const add = (key: string, effect: Taint["effect"]): void => {
    kept.push(
      (node.spec?.taints ?? []).find((taint) => taint.key === key && taint.effect === effect) ?? { key, effect },
    );
  };
  if (node.spec?.unschedulable === true) add(unschedulable, "NoSchedule");
  if (ready !== "True") {
    const key = ready === "False" ? notReady : unreachable;
    add(key, "NoSchedule");
    add(key, "NoExecute");
  }
  return kept;
}

/**
 * All conditions that the node has reported, plus `Ready`, with the status Unknown. A condition that is already Unknown
 * stays unchanged.
 */
export function unknownConditions(node: Node, now: string): NodeCondition[] {
  const reported = node.status?.conditions ?? [];
  const types = new Set(["Ready", ...reported.map(({ type }) => type)]);
  return [...types].map((type) => {
    const before = reported.find((condition) => condition.type === type);
    if (before?.status === "Unknown") return before;
    return {
      ...before,
      type,
      status: "Unknown",
      reason: "NodeStatusUnknown",
      message: "Kubelet stopped posting node status.",
      lastTransitionTime: now,
    };
  });
}

/**
 * How long the pod may stay on a node with these taints, in milliseconds. The value is undefined for a pod that may
 * stay forever, and 0 for a pod that must leave at once.
 */
export function stayMs(pod: Pod, taints: readonly Taint[]): number | undefined {
  let shortest: number | undefined;
  for (const taint of taints) {
    if (taint.effect !== "NoExecute") continue;
    // If several tolerations match, the first one applies.
    const toleration = pod.spec?.tolerations?.find((candidate) => tolerates(candidate, taint));
    if (toleration === undefined) return 0;
    const { tolerationSeconds } = toleration;
    if (tolerationSeconds === undefined) continue;
    shortest = Math.min(shortest ?? Number.POSITIVE_INFINITY, Math.max(0, tolerationSeconds) * 1000);
  }
  return shortest;
}

export function readyOf(node: Node): NodeCondition | undefined {
  return node.status?.conditions?.find(({ type }) => type === "Ready");
}
