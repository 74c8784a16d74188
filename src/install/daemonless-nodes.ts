/**
 * Labels of nodes that run no DaemonSets: those of EKS Fargate, and virtual kubelets such as the virtual nodes of AKS.
 * Their taints do not keep away pods that tolerate every taint, such as those of ztunnel, which would stay Pending
 * there forever.
 */
const labels: readonly (readonly [key: string, value: string])[] = [
  ["eks.amazonaws.com/compute-type", "fargate"],
  ["type", "virtual-kubelet"],
];

/** Whether a node with these labels runs no DaemonSets. */
export function isDaemonless(ofNode: Readonly<Record<string, string>> | undefined): boolean {
  return labels.some(([key, value]) => ofNode?.[key] === value);
}

/** The affinity of pods that every node needs, except nodes that run no DaemonSets. */
export const affinityOfDaemons = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        { matchExpressions: labels.map(([key, value]) => ({ key, operator: "NotIn", values: [value] })) },
      ],
    },
  },
} as const;
