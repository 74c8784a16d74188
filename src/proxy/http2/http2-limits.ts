import { invariant } from "../../base/index.ts";

/** Bounds of HTTP/2 connections on either side of the proxy. */
export const http2Limits = {
  /** How many bytes a peer may send on a stream before we have relayed them. */
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 4 * 1_048_576,
  /** How many bytes of paused streams a connection holds before it stops renewing its window. */
  maxQueuedBytes: 8 * 1_048_576,
  /** A window is renewed when this fraction of it has been read. */
  creditParts: 4,
  maxFrameBytes: 65_536,
  maxSentFrameBytes: 65_536,
  /** How much output may wait for the kernel before streams must wait. */
  outputHighWaterBytes: 256 * 1024,
  /** The maximum size of unread answers to PING, SETTINGS and similar frames. */
  maxOutputBytes: 2 * 1_048_576,
  /** The maximum number of open streams of a client on one connection. */
  acceptedStreams: 1000,
  /** The maximum number of streams that we open on one connection, whatever the server allows. */
  openedStreams: 1000,
  /** How many streams we open before the server has announced its limit. */
  openedStreamsBeforeSettings: 100,
  /**
   * The maximum number of frames per second that do not advance a request: PING, SETTINGS, PRIORITY, empty DATA,
   * refused streams.
   */
  maxIdleFramesPerSecond: 5000,
  /**
   * How many requests a client may waste, by resetting them or by violating the protocol, beyond the number that it
   * lets us answer.
   */
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  /** Streams that a client may open before other connections get their turn. */
  streamsPerTurn: 16,
  /** For each stream that a client has wasted, its next stream waits this much longer. */
  pausePerWastedStreamMs: 0.1,
  /** A client may reset a request without penalty after waiting this long for the response. */
  prematureResetMs: 1000,
  answeredResetsAreFree: true,
  /** A header list up to this many times the announced limit is read to its end, so that the answer can be 431. */
  headerListSlack: 2,
  /**
   * The silence after which an upstream connection with open streams sends a PING, unless the cluster sets another
   * time.
   */
  pingIntervalMs: 15_000,
  pingTimeoutMs: 20_000,
  /**
   * The time within which the rest of a response must make progress after its exchange is over. After our end of the
   * connection, it is the total time for the bytes that the kernel has not taken.
   */
  flushTimeoutMs: 60_000,
  /**
   * The time between the two GOAWAYs, if the peer does not answer the PING between them. A busy machine may answer only
   * after seconds, and a stream that arrives after the second GOAWAY is refused.
   */
  goawayGraceMs: 5000,
  /** How long the peer may take to close after our end. The rest of a response may take {@link flushTimeoutMs}. */
  closeGraceMs: 2000,
  /** The maximum number of bytes that are read and dropped after our end. */
  maxDroppedBytes: 256 * 1024,
} as const;

invariant(
  http2Limits.maxOutputBytes > http2Limits.outputHighWaterBytes + http2Limits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(http2Limits.connectionWindowBytes >= http2Limits.streamWindowBytes, "a connection's window holds a stream's");
