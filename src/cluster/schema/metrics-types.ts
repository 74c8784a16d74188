import type { ResourceType } from "./contract.ts";

export const metricsGroup = "metrics.k8s.io";

/**
 * The kinds of the metrics API, which metrics-server adds to other clusters. The API server computes the objects on
 * each request and stores none.
 */
export const metricsTypes: readonly ResourceType[] = [
  metricsType("NodeMetrics", "nodes", false),
  metricsType("PodMetrics", "pods", true),
];

function metricsType(kind: string, plural: string, namespaced: boolean): ResourceType {
  return {
    group: metricsGroup,
    version: "v1beta1",
    kind,
    listKind: `${kind}List`,
    plural,
    singular: "",
    shortNames: [],
    categories: [],
    namespaced,
    verbs: ["get", "list"],
    subresources: [],
    storageVersion: "v1beta1",
    storageKey: `${metricsGroup}/${plural}`,
    builtIn: true,
  };
}
