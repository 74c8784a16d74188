/**
 * A workload as metrics and logs describe it. The values come from `istio.workload` in an endpoint's metadata, or from
 * the workload's proxy.
 */
export interface WorkloadLabels {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
  /** Further labels: those that the configuration names and the workload's proxy sends. Absent means none. */
  readonly labels?: Readonly<Record<string, string>>;
}

export const unknownWorkload: WorkloadLabels = {
  workload: "unknown",
  namespace: "unknown",
  canonicalName: "unknown",
  canonicalRevision: "latest",
  cluster: "unknown",
};
