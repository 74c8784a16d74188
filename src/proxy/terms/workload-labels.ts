/** A workload for metrics and logs, from `istio.workload` of an endpoint's metadata or from what its proxy sends. */
export interface WorkloadLabels {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
  /** Further labels, which the configuration names and the workload's proxy sends. Absent means none. */
  readonly labels?: Readonly<Record<string, string>>;
}

export const unknownWorkload: WorkloadLabels = {
  workload: "unknown",
  namespace: "unknown",
  canonicalName: "unknown",
  canonicalRevision: "latest",
  cluster: "unknown",
};
