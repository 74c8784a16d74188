/** The fields of this proxy in spans. */
export interface TracedNode {
  /** `<type>~<address>~<pod>.<namespace>~<domain>`. */
  readonly id: string;
  /** `<workload>.<namespace>`. */
  readonly service: string;
  readonly address: string;
  readonly zone: string;
}
