import { invariant } from "../../base/index.ts";

/** Bounds of HBONE connections; windows, frame size, streams and times are Istio's. */
export const hboneLimits = {
  streamWindowBytes: 4 * 1_048_576,
  connectionWindowBytes: 16 * 1_048_576,
  /** Of a window, one part in so many is read before it is given back. */
  creditParts: 4,
  maxFrameBytes: 1_048_576,
  maxSentFrameBytes: 1_048_576,
  /** Output of a connection that waits for the kernel; above it, streams are told to wait. */
  outputHighWaterBytes: 262_144,
  /** Answers to PING, SETTINGS and resets that a peer may let pile up without reading. */
  maxOutputBytes: 8 * 1_048_576,
  /** What a connection holds for paused streams before it stops giving its window back. */
  maxQueuedBytes: 32 * 1_048_576,
  /** Streams that the pool puts on one connection. */
  pooledStreams: 100,
  /** Streams that we accept on one connection. */
  acceptedStreams: 1_000,
  /** Frames that move no tunnel on: PING, SETTINGS, PRIORITY, empty DATA, padding, refused streams; tunnels' bytes earn some back. */
  maxIdleFramesPerSecond: 5_000,
  /** Tunnels that a client may waste beyond those that it uses: taken back within {@link prematureResetMs}, unanswered, or broken. */
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  prematureResetMs: 1_000,
  answeredResetsAreFree: true,
  poolConnections: 8_192,
  idleMs: 5 * 60_000,
  pingIntervalMs: 10_000,
  pingTimeoutMs: 20_000,
  /** Between the two GOAWAYs, when the peer does not answer the PING between them. */
  goawayGraceMs: 1_000,
  /** For the peer to close after we ended. */
  closeGraceMs: 2_000,
} as const;

invariant(
  hboneLimits.maxOutputBytes > hboneLimits.outputHighWaterBytes + hboneLimits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(hboneLimits.connectionWindowBytes >= hboneLimits.streamWindowBytes, "a connection's window holds a stream's");
