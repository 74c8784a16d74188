/** A pod of a control plane. */
export interface PilotPod {
  readonly name: string;
  readonly namespace: string;
  readonly revision: string;
  readonly address: string;
  readonly serviceAccount: string;
}
