/** The labels that name a locality. The first one that a workload has counts. */
const localityLabels = ["topology.istio.io/locality", "istio-locality"] as const;

/**
 * The locality in a workload's labels, as `region/zone/subzone`. Missing parts are empty. Undefined if no label names a
 * locality. The label of a pod has dots between the parts, because it cannot contain slashes.
 */
export function localityOfLabels(labels: Readonly<Record<string, string>>): string | undefined {
  const text = localityLabels.map((name) => labels[name]).find((value) => value !== undefined);
  if (text === undefined || text === "") return undefined;
  const [region = "", zone = "", subzone = ""] = text.split(text.includes("/") ? "/" : ".");
  return `${region}/${zone}/${subzone}`;
}

/**
 * The cluster of a sidecar's own workload, as upstream's bootstrap and requests for endpoints name it. Zone-aware
 * balancing compares the zones of its endpoints with those of the destination. Only sidecars with
 * `ISTIO_META_ENABLE_SELF_DISCOVERY` ask for it.
 */
export const localClusterName = "local_cluster";
