/** Bounds of the server's connections. */
export const grpcLimits = {
  /** The connections of a port. If more come, the address with the most connections loses its oldest one. */
  maxConnections: 8192,
  /**
   * A discovery stream sends a request of about a hundred bytes for each response, so its window is renewed about once
   * per thousand responses.
   */
  streamWindowBytes: 256 * 1024,
  /** How many bytes a connection's unread calls may hold together. */
  connectionWindowBytes: 1_048_576,
  /** A window is returned when this fraction of it has been read (2: one half). */
  creditParts: 2,
  /** Data that waits in a call counts against the connection's window. */
  maxQueuedBytes: 0,
  /** The memory for heads and incomplete requests of all connections, which the addresses of their clients share. */
  maxIncompleteBytes: 128 << 20,
  maxFrameBytes: 16_384,
  /** The peer may allow larger frames, but they have no advantage. */
  maxSentFrameBytes: 65_536,
  maxHeaderListBytes: 65_536,
  /**
   * A proxy has one discovery stream, and sometimes one more request. A relay for many proxies has as many connections.
   */
  maxStreams: 100,
  /** How much is framed at a time. The rest waits in messages that all clients share. */
  outputHighWaterBytes: 512 * 1024,
  /** How many bytes of answers to PING, SETTINGS and the like a peer may leave unread. */
  maxBufferedControlBytes: 1_048_576,
  /** Up to this size, copying a part of a message costs less than writing it separately. */
  copiedPartBytes: 4096,
  /** Frames in a second that transport nothing: PING, SETTINGS, PRIORITY, empty DATA, refused streams. */
  maxIdleFramesPerSecond: 2000,
  /**
   * Calls in a second that a client may open and cancel, or that break the protocol. Answered calls count too, because
   * an answer is expensive.
   */
  wastedStreams: 200,
  wastedStreamsPerSecond: 200,
  /** Streams that a client may open before other connections get their turn. */
  streamsPerTurn: 16,
  /** How long the next stream of a wasteful client waits for each stream that it has wasted. */
  pausePerWastedStreamMs: 0.02,
  prematureResetMs: Infinity,
  answeredResetsAreFree: false,
  /** The idle time after which a client gets a PING, and the time limit for its answer. */
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
  /**
   * The time between the two GOAWAYs, if the peer does not answer the PING between them. A busy machine answers after
   * seconds, and a stream that comes after the second GOAWAY is refused.
   */
  goawayGraceMs: 5000,
  /** The time in which the peer must read the remaining data and close after our end. */
  closeGraceMs: 1000,
  /** How many bytes are read and dropped after our end. */
  maxDroppedBytes: 256 * 1024,
  /** The time in which the request of a call with one request must end. Discovery's first request has the same time. */
  unaryRequestTimeoutMs: 30_000,
  /** Within this time an ended call must be gone from our side. */
  endTimeoutMs: 30_000,
  /** Length of an encoded `grpc-message`, because a peer may allow only small header lists. */
  maxStatusMessageBytes: 4096,
} as const;
