/** The workload of an endpoint for metrics, from `istio.workload` of its metadata. */
export interface WorkloadLabels {
  readonly workload: string;
  readonly namespace: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly cluster: string;
}

export const unknownWorkload: WorkloadLabels = {
  workload: "unknown",
  namespace: "unknown",
  canonicalName: "unknown",
  canonicalRevision: "latest",
  cluster: "unknown",
};
