import type { Http2ConnectionError } from "./constants.ts";
import type { FloodLimits } from "./flood-budget.ts";
import type { FrameWriter } from "./frame-writer.ts";

/** Limits of a session. */
export interface SessionLimits extends FloodLimits {
  /** The number of bytes that a peer may send on a stream before they are read. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** A window is renewed when one part in `creditParts` of it was read. */
  readonly creditParts: number;
  /** The number of bytes that streams may hold back before the connection's window shrinks. */
  readonly maxQueuedBytes: number;
  /** Announced as SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** The limit of frames that we send, even if the peer allows larger ones. */
  readonly maxSentFrameBytes: number;
  /** A client may cancel a stream after this time without charge. */
  readonly prematureResetMs: number;
  /** Whether a client may also cancel a stream without charge after our head has been sent. */
  readonly answeredResetsAreFree: boolean;
  /**
   * The maximum number of bytes that are read and dropped after the session's end, so that the peer reads our last
   * frames before a reset. Further bytes stay in the kernel until the connection closes.
   */
  readonly maxDroppedBytes: number;
}

export interface SessionOptions {
  readonly server: boolean;
  readonly limits: SessionLimits;
  /** The noun for streams in messages to the peer: requests, calls, tunnels. */
  readonly streamsName: string;
  readonly nowMs: number;
  /** The limit of open streams: the one that a server announces, or a client's own. */
  readonly maxStreams: number;
  /** Announced as SETTINGS_MAX_HEADER_LIST_SIZE if given. */
  readonly maxHeaderListBytes?: number | undefined;
  /**
   * How many bytes of a header list are read, so that the answer to a slightly too long one can say so. 64 KiB if
   * absent.
   */
  readonly maxReadHeaderBytes?: number | undefined;
  /** The assumed limit of a server's streams until it announces one. */
  readonly assumedStreams?: number | undefined;
  /** The quiet time after which the peer is pinged. 0 means never. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Whether the peer is also pinged while there is no stream. */
  readonly pingsWhenIdle: boolean;
}

/**
 * The surroundings of a session. An error that `opened` throws ends that stream. {@link faulted} may throw. The other
 * methods must not.
 */
export interface SessionPort {
  /**
   * The buffer for the next frames. The port soon sends what the session has written into it, without a further call.
   */
  output(): FrameWriter;
  /** Whether the output is full. If so, streams wait until {@link Http2Session.wake}. */
  isFull(): boolean;
  /** The minimum size of DATA that is offered to {@link sendInPlace}. Absent means that no DATA is offered. */
  readonly inPlaceBytes?: number;
  /**
   * Sends the bytes as DATA frames of at most `frameBytes`, behind the content of the output and without a copy. If it
   * returns false, the bytes go through the output instead. Called only while the output is not full.
   */
  sendInPlace?(streamId: number, bytes: Uint8Array, frameBytes: number, endStream: boolean): boolean;
  /** Called when a client opened a stream. Pass it to {@link Http2Session.adopt}, or {@link Http2Session.refuse} it. */
  opened(streamId: number, fields: readonly string[], endStream: boolean): void;
  /** Called when a stream has ended. */
  streamEnded(): void;
  /** Called when the number of input bytes that streams hold back has changed. */
  inputHeld?(bytes: number): void;
  /** Called when the peer's SETTINGS have arrived. */
  settingsChanged(): void;
  /** Called for GOAWAY: the peer accepts no stream above `lastStreamId`. */
  peerLeaves(lastStreamId: number, code: number, debug: string): void;
  /** Called when no stream is left and none will come. End the connection after the written frames. */
  finished(): void;
  /**
   * Called when the peer violated the protocol of the connection. GOAWAY was written. End all streams, and the
   * connection after it.
   */
  failed(error: Http2ConnectionError): void;
  /**
   * Called when the peer has opened many streams at once, or wastes streams. The port must read no more, and call
   * {@link Http2Session.proceed} after `waitMs`, when other connections have had their turn.
   */
  deferred(waitMs: number): void;
  /**
   * Called when the peer has sent {@link SessionLimits.maxDroppedBytes} bytes after the end of the session. The port
   * must read no more.
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
