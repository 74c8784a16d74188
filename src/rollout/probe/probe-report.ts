/** One line of a probe client's output as JSON: counts since its start. */
export interface ProbeReport {
  readonly client: string;
  /** The number of the report, starting with 1. */
  readonly number: number;
  /** All probes that started before the report with this number are counted, and no later ones. */
  readonly through: number;
  /** The reports by the name of the pair. */
  readonly pairs: Readonly<Record<string, PairReport>>;
}

export interface PairReport {
  readonly ok: number;
  readonly failed: number;
  /** How many of the failed probes were answered although they had to be refused. */
  readonly letIn: number;
  readonly lastError: string;
  /** The median latency of the latest responses. */
  readonly p50Ms?: number;
  /**
   * The number of responses for each pair of identities that the server reported: `<client's SPIFFE ID> <server's
   * own>`, or empty. Keeps only the first few pairs.
   */
  readonly peers: Readonly<Record<string, number>>;
}
