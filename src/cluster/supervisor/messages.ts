/** Node runtime -> supervisor, over Node's IPC channel; the controllers tell `ready` only. */
export interface NodeReport {
  /** The node is registered and its condition Ready is true; of the controllers: the lab's kinds are defined. */
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

/** A line of `serin cluster urls`; the file `urls.json` in the state directory holds them all. */
export interface ServiceUrl extends LoadBalancerPort {
  readonly url: string;
  readonly loopbackAddress: string;
  readonly loopbackPort: number;
}
