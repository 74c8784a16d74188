export const grpcLimits = {
  /**
   * The maximum number of connections of a port. Beyond it, the address with the most connections loses its oldest one.
   */
  maxConnections: 8192,
  /**
   * A discovery stream sends a request of about a hundred bytes for each response, so its window is renewed about once
   * per thousand responses.
   */
  streamWindowBytes: 256 * 1024,
  connectionWindowBytes: 1_048_576,
  /** A window is returned when this fraction of it has been read. 2 means one half. */
  creditParts: 2,
  /**
   * How much waiting data does not count against the connection's window. With 0, all data that waits in a call counts.
   */
  maxQueuedBytes: 0,
  /** The memory for heads and incomplete requests of all connections. The addresses of the clients share it. */
  maxIncompleteBytes: 128 << 20,
  maxFrameBytes: 16_384,
  /** The peer may allow larger frames, but they have no advantage. */
  maxSentFrameBytes: 65_536,
  maxHeaderListBytes: 65_536,
  /**
   * A proxy has one discovery stream, and sometimes one more request. A relay has one connection for each of its
   * proxies.
   */
  maxStreams: 100,
  /** How many bytes are written into frames at a time. The rest waits in messages that all clients share. */
  outputHighWaterBytes: 512 * 1024,
  /** How many bytes of answers to PING, SETTINGS and similar frames a peer may leave unread. */
  maxBufferedControlBytes: 1_048_576,
  /** The size up to which a part of a message is copied, because a copy costs less than a separate write. */
  copiedPartBytes: 4096,
  /**
   * The maximum number of frames per second that transport nothing: PING, SETTINGS, PRIORITY, empty DATA, and refused
   * streams.
   */
  maxIdleFramesPerSecond: 2000,
  /**
   * How many calls per second a client may cancel, or break by violating the protocol. Cancelled calls that were
   * already answered count, too, because an answer is expensive.
   */
  wastedStreams: 200,
  wastedStreamsPerSecond: 200,
  /** Streams that a client may open before other connections get their turn. */
  streamsPerTurn: 16,
  /** The delay of a client's next stream for each stream that the client has wasted. */
  pausePerWastedStreamMs: 0.02,
  prematureResetMs: Infinity,
  answeredResetsAreFree: false,
  /** The time without input after which a client gets a PING, and the time that it has to answer. */
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  handshakeTimeoutMs: 10_000,
  /**
   * The time between the two GOAWAYs, if the peer does not answer the PING between them. A busy machine may answer only
   * after seconds, and a stream that arrives after the second GOAWAY is refused.
   */
  goawayGraceMs: 5000,
  /** The time within which the peer must read the remaining data, and close after our end. */
  closeGraceMs: 1000,
  /** The maximum number of bytes that are read and dropped after our end. */
  maxDroppedBytes: 256 * 1024,
  /**
   * The time limit for the request of a call with a single request. The first request of a discovery stream has the
   * same limit.
   */
  unaryRequestTimeoutMs: 30_000,
  /** The time limit for the last bytes of a call that our side has ended. */
  endTimeoutMs: 30_000,
  /** How long a connection that has reached its maximum age waits for its last calls, as in upstream. */
  ageGraceMs: 10_000,
  /** A peer may allow only small header lists, so an encoded `grpc-message` is cut to this length. */
  maxStatusMessageBytes: 4096,
} as const;
