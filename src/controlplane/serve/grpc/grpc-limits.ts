/** Bounds of the server's connections. */
export const grpcLimits = {
  /** A stream of discovery sends a request of about a hundred bytes for each response: its window is opened anew every thousand of them. */
  streamWindowBytes: 256 * 1024,
  /** What calls that nobody reads yet may hold of a connection, all together. */
  connectionWindowBytes: 1_048_576,
  /** Of a window, one part in so many is read before it is given back. */
  creditParts: 2,
  /** What waits in a call counts against the connection's window. */
  maxQueuedBytes: 0,
  maxFrameBytes: 16_384,
  /** The peer may allow larger frames; a larger one saves nothing. */
  maxSentFrameBytes: 65_536,
  maxHeaderListBytes: 65_536,
  /** A proxy has one stream of discovery, and now and then a question; who has many proxies behind it has as many connections. */
  maxStreams: 100,
  /** What is framed at a time; more waits in the messages that all clients share. */
  outputHighWaterBytes: 512 * 1024,
  /** Answers to PING, SETTINGS and the like that a peer may let pile up without reading. */
  maxBufferedControlBytes: 1_048_576,
  /** A part of a message up to here costs less to copy than to write by itself. */
  copiedPartBytes: 4096,
  /** Frames a second that move nothing on: PING, SETTINGS, PRIORITY, empty DATA, refused streams. */
  maxIdleFramesPerSecond: 2000,
  /** Calls a second that a client may open and take back, or break the rules of; answered ones too, for an answer is dear. */
  wastedStreams: 200,
  wastedStreamsPerSecond: 200,
  prematureResetMs: Infinity,
  answeredResetsAreFree: false,
  /** Quiet time after which a client is asked for a sign of life, and how long it has for it. */
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
  /** Between the two GOAWAYs, when the peer does not answer the PING between them. */
  goawayGraceMs: 1000,
  /** For the peer to take the rest and to close after we ended. */
  closeGraceMs: 1000,
  /** A call that has been ended must be gone from our side within this time. */
  endTimeoutMs: 30_000,
  /** Of `grpc-message`, as it is written: a peer's header list may be small. */
  maxStatusMessageBytes: 4096,
} as const;
