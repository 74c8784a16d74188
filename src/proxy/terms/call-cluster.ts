export interface ClusterRequest {
  readonly cluster: string;
  readonly protocol: "http1" | "http2";
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  readonly timeoutMs: number;
  readonly maxAnswerBytes: number;
  /**
   * Whether a response with status 101 counts as an answer. Its connection is then closed. If not set, such a response
   * is a failure.
   */
  readonly acceptsSwitch?: true;
}

export interface ClusterAnswer {
  readonly status: number;
  /** The headers and trailers, with names in lower case. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/**
 * Sends a request to a cluster and returns the answer. Rejects if there is no such cluster, endpoint or connection, or
 * if the answer is late or too long.
 */
export type CallCluster = (request: ClusterRequest, signal: AbortSignal) => Promise<ClusterAnswer>;
