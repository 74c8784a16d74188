/** Where a cluster serves the Multi-Cluster Services API. Some vendors serve it under a group of their own. */
export interface MultiClusterApi {
  readonly group: string;
  readonly version: string;
}

export const defaultMultiClusterApi: MultiClusterApi = { group: "multicluster.x-k8s.io", version: "v1alpha1" };
