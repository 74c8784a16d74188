import type { Http2ConnectionError } from "./constants.ts";
import type { FloodLimits } from "./flood-budget.ts";
import type { FrameWriter } from "./frame-writer.ts";

export interface SessionLimits extends FloodLimits {
  /** How many bytes a peer may send on a stream before they are read. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** A window is given back when one part in `creditParts` of it was read. */
  readonly creditParts: number;
  /** How many bytes streams may hold back before the connection's window becomes smaller. */
  readonly maxQueuedBytes: number;
  /** Announced as SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** The largest frame to send, even if the peer allows larger ones. */
  readonly maxSentFrameBytes: number;
  /** After this time, a client may cancel a stream without a charge. */
  readonly prematureResetMs: number;
  /** Whether a client may also cancel a stream without a charge after we have sent a head. */
  readonly answeredResetsAreFree: boolean;
  /**
   * How many bytes are read and dropped after the session's end, so that the peer can read our last frames before a
   * reset. Further bytes stay in the kernel until the connection closes.
   */
  readonly maxDroppedBytes: number;
}

export interface SessionOptions {
  readonly server: boolean;
  readonly limits: SessionLimits;
  /** The noun for streams in messages to the peer, for example requests, calls or tunnels. */
  readonly streamsName: string;
  readonly nowMs: number;
  /** The limit of open streams: the one that a server announces, or the one that a client sets itself. */
  readonly maxStreams: number;
  /** Announced as SETTINGS_MAX_HEADER_LIST_SIZE. Absent announces none. */
  readonly maxHeaderListBytes?: number | undefined;
  /**
   * How much of a header list to read, so that an answer can say that a list is slightly too long. 64 KiB if absent.
   */
  readonly maxReadHeaderBytes?: number | undefined;
  /** The limit of streams to assume before a server announces its own. */
  readonly assumedStreams?: number | undefined;
  /** After so much quiet time, the peer is pinged. 0 means never. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Whether the peer is pinged even while there is no stream. */
  readonly pingsWhenIdle: boolean;
}

/**
 * What a session needs from its surroundings. An error that `opened` throws ends that stream. {@link faulted} may
 * throw. The other methods must not.
 */
export interface SessionPort {
  /**
   * The buffer for the next frames. After the session has written to it, the port soon sends its content, without a
   * further call.
   */
  output(): FrameWriter;
  /** Whether the output is full. Streams then wait until {@link Http2Session.wake}. */
  isFull(): boolean;
  /** DATA of at least this size is offered to {@link sendInPlace}. Absent means that none is. */
  readonly inPlaceBytes?: number;
  /**
   * Sends the bytes as DATA frames of at most `frameBytes`, after the content of the output, and without copying them.
   * If it returns false, the bytes go into the output instead. It is called only while the output is not full.
   */
  sendInPlace?(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean;
  /**
   * Called when a client has opened a stream. Pass the stream to {@link Http2Session.adopt}, or {@link
   * Http2Session.refuse} it.
   */
  opened(streamId: number, fields: readonly string[], endStream: boolean): void;
  streamEnded(): void;
  /** Called when the number of received bytes that streams hold back has changed. */
  inputHeld?(bytes: number): void;
  settingsChanged(): void;
  /** Called for a GOAWAY: the peer ignores all streams above `lastStreamId`. */
  peerLeaves(lastStreamId: number, code: number, debug: string): void;
  /** Called when no stream is left and none can come. End the connection after the written frames. */
  finished(): void;
  /**
   * Called when the peer has broken the connection's protocol. GOAWAY was already written. End all streams, and then
   * the connection.
   */
  failed(error: Http2ConnectionError): void;
  /**
   * Called when the peer has opened many streams at once, or wastes streams. The port must read no more until it calls
   * {@link Http2Session.proceed}: after `waitMs`, and after other connections have had their turn.
   */
  deferred(waitMs: number): void;
  /**
   * Called when the peer has sent {@link SessionLimits.maxDroppedBytes} after the session's end. The port must read no
   * more.
   */
  sendsOn(): void;
  /**
   * Called when a stream, or the port for a new stream, has thrown an error. The session then resets the stream. Throws
   * the error if the process should end instead.
   */
  faulted(error: unknown): void;
  /** Called when the peer does not answer pings. End the connection at once. */
  unanswered(): void;
}
