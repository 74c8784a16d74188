/** A cluster's settings of HTTP/2 to its endpoints. */
export interface Http2Settings {
  readonly maxConcurrentStreams: number;
  /** 0 leaves it to our own limits when endpoints are asked whether they live. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
}
