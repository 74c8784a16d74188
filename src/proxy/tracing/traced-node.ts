export interface TracedNode {
  /** The node's id: `<type>~<address>~<pod>.<namespace>~<domain>`. */
  readonly id: string;
  /** The name of the service: `<workload>.<namespace>`. */
  readonly service: string;
  readonly address: string;
  readonly zone: string;
}
