/** What a probe's client prints, one JSON object a line: counts since its start. */
export interface ProbeReport {
  readonly client: string;
  /** Counts the reports, from 1. */
  readonly number: number;
  /** Every probe that was begun before the report of this number is counted, and none that was begun after it. */
  readonly through: number;
  /** By the name of the pair. */
  readonly pairs: Readonly<Record<string, PairReport>>;
}

export interface PairReport {
  readonly ok: number;
  readonly failed: number;
  /** How many of the failed ones were answered although they had to be refused. */
  readonly letIn: number;
  readonly lastError: string;
  /** Latency of the latest answers. */
  readonly p50Ms?: number;
  /** Answers by what the server was told of the client: `<client's SPIFFE ID> <server's own>`, or empty. The first few that came. */
  readonly peers: Readonly<Record<string, number>>;
}
