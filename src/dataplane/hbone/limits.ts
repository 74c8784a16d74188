import { invariant } from "../../base/index.ts";

/** Limits of HBONE connections. The windows, frame size, numbers of streams and times are Istio's. */
export const hboneLimits = {
  streamWindowBytes: 4 * 1_048_576,
  connectionWindowBytes: 16 * 1_048_576,
  /** A receive window is renewed when one in this number of its parts has been read (4 means a quarter). */
  creditParts: 4,
  maxFrameBytes: 1_048_576,
  maxSentFrameBytes: 1_048_576,
  /** While more output bytes than this wait for the kernel, streams must wait. */
  outputHighWaterBytes: 262_144,
  /** If more output bytes than this wait, such as answers to PING, SETTINGS and resets, the peer is disconnected. */
  maxOutputBytes: 8 * 1_048_576,
  /** The number of queued bytes of paused streams at which the connection stops renewing its window. */
  maxQueuedBytes: 32 * 1_048_576,
  /** The maximum number of streams that the pool puts on one connection. */
  pooledStreams: 100,
  /** The maximum number of streams that the server accepts on one connection. */
  acceptedStreams: 1_000,
  /**
   * The maximum number per second of frames without progress: PING, SETTINGS, PRIORITY, empty DATA, padding, refused
   * streams. Tunnelled bytes allow further such frames.
   */
  maxIdleFramesPerSecond: 5_000,
  /**
   * The number of tunnels that a client may waste. A wasted tunnel is one that the client cancels within {@link
   * prematureResetMs}, or breaks by an error.
   */
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  /** The number of streams that a client may open before other connections get their turn. */
  streamsPerTurn: 16,
  /** How long a client's next stream waits, for each tunnel that the client has wasted. */
  pausePerWastedStreamMs: 0.1,
  prematureResetMs: 1_000,
  answeredResetsAreFree: true,
  poolConnections: 8_192,
  idleMs: 5 * 60_000,
  pingIntervalMs: 10_000,
  pingTimeoutMs: 20_000,
  /**
   * The time between the two GOAWAYs if the peer does not answer the PING between them. A busy machine may answer only
   * after seconds, and a stream that arrives after the second GOAWAY is refused.
   */
  goawayGraceMs: 5_000,
  /** The time within which a peer must have read the rest of its tunnels' bytes after we have ended the connection. */
  flushTimeoutMs: 60_000,
  /** The time for the peer to close after our end, if no bytes wait for it. */
  closeGraceMs: 2_000,
  /** The maximum number of bytes that are read and dropped after our end. */
  maxDroppedBytes: 256 * 1024,
} as const;

invariant(
  hboneLimits.maxOutputBytes > hboneLimits.outputHighWaterBytes + hboneLimits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(hboneLimits.connectionWindowBytes >= hboneLimits.streamWindowBytes, "a connection's window holds a stream's");
