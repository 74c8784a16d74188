import { invariant } from "../../base/index.ts";

/** Bounds of HTTP/2 connections on either side of the proxy. */
export const http2Limits = {
  /** What a peer may send on a stream before we have passed it on. */
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 4 * 1_048_576,
  /** What a connection holds for paused streams before it stops giving its window back. */
  maxQueuedBytes: 8 * 1_048_576,
  /** Of a window, one part in so many is read before it is given back. */
  creditParts: 4,
  maxFrameBytes: 65_536,
  maxSentFrameBytes: 65_536,
  /** Output of a connection that waits for the kernel; above it, streams are told to wait. */
  outputHighWaterBytes: 256 * 1024,
  /** Answers to PING, SETTINGS and the like that a peer may let pile up without reading. */
  maxOutputBytes: 2 * 1_048_576,
  /** Streams that a client may have open on one connection. */
  acceptedStreams: 1000,
  /** Streams that we open on one connection, whatever its server allows. */
  openedStreams: 1000,
  /** Streams that we open before the server has said how many it takes. */
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
  /** Quiet time of an upstream connection with streams after which its peer is asked for a sign of life, unless the cluster says. */
  pingIntervalMs: 15_000,
  pingTimeoutMs: 20_000,
  /** What of an answer is left when its exchange is over must move on within this time. */
  flushTimeoutMs: 60_000,
  /** Between the two GOAWAYs, when the peer does not answer the PING between them. */
  goawayGraceMs: 1000,
  /** For the peer to close after we ended. */
  closeGraceMs: 2000,
} as const;

invariant(
  http2Limits.maxOutputBytes > http2Limits.outputHighWaterBytes + http2Limits.maxFrameBytes,
  "one frame fits above the high water mark",
);
invariant(http2Limits.connectionWindowBytes >= http2Limits.streamWindowBytes, "a connection's window holds a stream's");
