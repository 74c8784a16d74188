export interface Http2Settings {
  readonly maxConcurrentStreams: number;
  /** The interval of keepalive PINGs, in milliseconds. 0 means that {@link http2Limits} decides. */
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
}
