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
  /** Answers to PING, SETTINGS and the like that a peer may let pile up without reading. */
  maxOutputBytes: 2 * 1_048_576,
  /** Streams that a client may have open on one connection. */
  acceptedStreams: 1000,
  /** Streams that we open on one connection, whatever its server allows. */
  openedStreams: 1000,
  /** How many streams we open before the server has announced its limit. */
  openedStreamsBeforeSettings: 100,
  /** Frames a second that move no request on: PING, SETTINGS, PRIORITY, empty DATA, refused streams. */
  maxIdleFramesPerSecond: 5000,
  /** Requests that a client may waste beyond those that it lets us answer, by taking them back or by breaking their rules. */
  wastedStreams: 500,
  wastedStreamsPerSecond: 10,
  /** A request that waited that long for its answer may be taken back. */
  prematureResetMs: 1000,
  answeredResetsAreFree: true,
  /** A header list up to this many times the limit that is announced is read to its end, so that it can be answered by 431. */
  headerListSlack: 2,
  /**
   * After how much quiet the peer of an upstream connection with open streams is asked for a sign of life, unless the
   * cluster sets another time.
   */
  pingIntervalMs: 15_000,
  pingTimeoutMs: 20_000,
  /** After an exchange is over, the rest of its response must make progress within this time. */
  flushTimeoutMs: 60_000,
  /** Between the two GOAWAYs, when the peer does not answer the PING between them. */
  goawayGraceMs: 1000,
  /** How long the peer may take to close after our end. */
  closeGraceMs: 2000,
} as const;

invariant(
  http2Limits.maxOutputBytes > http2Limits.outputHighWaterBytes + http2Limits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(http2Limits.connectionWindowBytes >= http2Limits.streamWindowBytes, "a connection's window holds a stream's");
