/** A message from the node runtime to the supervisor over Node's IPC channel. Controllers send only `ready`. */
export interface NodeReport {
  /** The node is registered and Ready. From the controllers, it means that the lab's kinds are defined. */
  readonly ready?: boolean;
  /** All LoadBalancer ports that this node announces to the fabric. */
  readonly loadBalancers?: readonly LoadBalancerPort[];
}

export interface LoadBalancerPort {
  /** `namespace/name` of the Service. */
  readonly service: string;
  readonly address: string;
  readonly port: number;
  readonly portName: string;
}
