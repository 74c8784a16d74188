export interface PilotPod {
  readonly name: string;
  readonly namespace: string;
  readonly revision: string;
  readonly address: string;
  readonly serviceAccount: string;
  /** The ConfigMap in which the control plane publishes its root, in every namespace. */
  readonly rootConfigMap: string;
}
