/**
 * The labels of nodes that run no DaemonSets: nodes of EKS Fargate, and virtual kubelets such as AKS' virtual nodes.
 * Taints of these nodes do not stop pods that tolerate every taint, so such pods, for example ztunnel's, would stay
 * Pending there.
 */
const labels: readonly (readonly [key: string, value: string])[] = [
  ["eks.amazonaws.com/compute-type", "fargate"],
  ["type", "virtual-kubelet"],
];

export function isDaemonless(ofNode: Readonly<Record<string, string>> | undefined): boolean {
  return labels.some(([key, value]) => ofNode?.[key] === value);
}

/** The affinity of pods that must run on every node that can run DaemonSets. */
export const affinityOfDaemons = {
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [
        { matchExpressions: labels.map(([key, value]) => ({ key, operator: "NotIn", values: [value] })) },
      ],
    },
  },
} as const;
