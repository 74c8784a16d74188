/** A request of the proxy itself to one of its clusters. */
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
  /** Whether a response with status 101 is an answer too. Its connection is closed. Otherwise it is a failure. */
  readonly acceptsSwitch?: true;
}

export interface ClusterAnswer {
  readonly status: number;
  /** Names in lower case, trailers included. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

/** Rejects if there is no such cluster, no endpoint or no connection, or if the answer is late or too long. */
export type CallCluster = (request: ClusterRequest, signal: AbortSignal) => Promise<ClusterAnswer>;
