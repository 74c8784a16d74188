/** A cluster's HTTP/2 settings. */
export interface Http2Settings {
  readonly maxConcurrentStreams: number;
  /** 0 means that our own limits determine the keepalive pings. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
}
