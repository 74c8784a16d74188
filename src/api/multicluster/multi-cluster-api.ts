/** Where a cluster serves the Multi-Cluster Services API. Some vendors serve it under their own group. */
export interface MultiClusterApi {
  readonly group: string;
  readonly version: string;
}

export const defaultMultiClusterApi: MultiClusterApi = { group: "multicluster.x-k8s.io", version: "v1alpha1" };
