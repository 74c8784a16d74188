/** The labels that name a locality. The first one that is present counts. */
const localityLabels = ["topology.istio.io/locality", "istio-locality"] as const;

/**
 * The locality in a workload's labels, as `region/zone/subzone`. A missing part is empty. Undefined if no label names a
 * locality. A pod's label has dots between the parts, because it cannot contain slashes.
 */
export function localityOfLabels(labels: Readonly<Record<string, string>>): string | undefined {
  const text = localityLabels.map((name) => labels[name]).find((value) => value !== undefined);
  if (text === undefined || text === "") return undefined;
  const [region = "", zone = "", subzone = ""] = text.split(text.includes("/") ? "/" : ".");
  return `${region}/${zone}/${subzone}`;
}

/**
 * The name of the cluster of a sidecar's own workload, in upstream's bootstrap and in requests for its endpoints.
 * Zone-aware balancing compares the zones of these endpoints with those of the destination. Only sidecars with
 * `ISTIO_META_ENABLE_SELF_DISCOVERY` ask for it.
 */
export const localClusterName = "local_cluster";
