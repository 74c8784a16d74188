/**
 * A message from a node to the supervisor, over Node's IPC channel. The controllers' process also sends it, with
 * `ready` only.
 */
export interface NodeReport {
  /**
   * Set when the node is registered and Ready. From the controllers' process, it means that the lab's custom kinds
   * exist.
   */
  readonly ready?: boolean;
  /** All LoadBalancer ports that this node announces in the lab's network. */
  readonly loadBalancers?: readonly LoadBalancerPort[];
}

export interface LoadBalancerPort {
  /** The Service as `namespace/name`. */
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly portName: string;
}
