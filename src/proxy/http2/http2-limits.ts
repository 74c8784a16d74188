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
   * How many more requests a client may waste, by resetting them or by breaking their rules, than it lets us answer.
   */
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  /** Streams that a client may open before other connections get their turn. */
  streamsPerTurn: 16,
  /** How long the next stream of a wasteful client waits for each stream that it has wasted. */
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
   * The time in which the rest of a response must make progress after its exchange is over. After the end of its
   * connection, the time in total for what the kernel has not taken.
   */
  flushTimeoutMs: 60_000,
  /**
   * The time between the two GOAWAYs, if the peer does not answer the PING between them. A busy machine answers after
   * seconds, and a stream that comes after the second GOAWAY is refused.
   */
  goawayGraceMs: 5000,
  /** How long the peer may take to close after our end. The rest of a response has {@link flushTimeoutMs}. */
  closeGraceMs: 2000,
  /** How many bytes are read and dropped after our end. */
  maxDroppedBytes: 256 * 1024,
} as const;

invariant(
  http2Limits.maxOutputBytes > http2Limits.outputHighWaterBytes + http2Limits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(http2Limits.connectionWindowBytes >= http2Limits.streamWindowBytes, "a connection's window holds a stream's");
