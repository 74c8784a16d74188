import { invariant } from "../../base/index.ts";

export const http2Limits = {
  /** How many bytes of a stream a peer may send before the proxy has relayed them. */
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 4 * 1_048_576,
  /** How many bytes of paused streams a connection holds before it stops renewing its window. */
  maxQueuedBytes: 8 * 1_048_576,
  /** A window is renewed after one part in `creditParts` of it has been read. */
  creditParts: 4,
  maxFrameBytes: 65_536,
  maxSentFrameBytes: 65_536,
  /** How many bytes may wait for the kernel before streams must stop writing. */
  outputHighWaterBytes: 256 * 1024,
  /** The maximum size of answers to PING, SETTINGS and similar frames that the peer has not read. */
  maxOutputBytes: 2 * 1_048_576,
  /** The maximum number of open streams of a client on one connection. */
  acceptedStreams: 1000,
  /** The maximum number of streams that we open on one connection, whatever the server allows. */
  openedStreams: 1000,
  /** How many streams we open before the server has announced its limit. */
  openedStreamsBeforeSettings: 100,
  /**
   * The maximum number of frames per second that advance no request: PING, SETTINGS, PRIORITY, empty DATA, and refused
   * streams.
   */
  maxIdleFramesPerSecond: 5000,
  /**
   * How many requests a client may waste by resetting them or violating the protocol. Each request that the client let
   * the proxy answer makes up for one wasted request.
   */
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  /** The number of streams that a client may open before other connections get their turn. */
  streamsPerTurn: 16,
  /** How long each further stream of a client waits, for each stream that the client has wasted. */
  pausePerWastedStreamMs: 0.1,
  /** How long a client must have waited for a response so that it may reset the request without penalty. */
  prematureResetMs: 1000,
  answeredResetsAreFree: true,
  /** A header list is read to its end up to this many times the announced limit, so that the answer can be 431. */
  headerListSlack: 2,
  /**
   * The silence after which an upstream connection with open streams sends a PING, unless the cluster sets another
   * time.
   */
  pingIntervalMs: 15_000,
  pingTimeoutMs: 20_000,
  /**
   * The time within which the rest of a response must make progress after its exchange is over. When the proxy has
   * ended its side of the connection, it is the total time for the bytes that the kernel has not accepted.
   */
  flushTimeoutMs: 60_000,
  /**
   * The time between the two GOAWAYs if the peer does not answer the PING between them. It is long, because a busy peer
   * may answer only after seconds, and a stream that arrives after the second GOAWAY is refused.
   */
  goawayGraceMs: 5000,
  /**
   * How long the peer may take to close the connection after the proxy has ended its side. If a part of a response is
   * still to be sent, {@link flushTimeoutMs} applies.
   */
  closeGraceMs: 2000,
  /** The maximum number of bytes that are read and dropped after the proxy has ended its side. */
  maxDroppedBytes: 256 * 1024,
} as const;

invariant(
  http2Limits.maxOutputBytes > http2Limits.outputHighWaterBytes + http2Limits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(http2Limits.connectionWindowBytes >= http2Limits.streamWindowBytes, "a connection's window holds a stream's");
