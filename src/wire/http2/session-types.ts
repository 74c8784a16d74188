import type { Http2ConnectionError } from "./constants.ts";
import type { FloodLimits } from "./flood-budget.ts";
import type { FrameWriter } from "./frame-writer.ts";

/** Bounds of a session. */
export interface SessionLimits extends FloodLimits {
  /** How many bytes a peer may send on a stream before they are read. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** A window is given back when one in this many parts of it was read. */
  readonly creditParts: number;
  /** How much streams may hold back before the connection's window shrinks by it. */
  readonly maxQueuedBytes: number;
  /** Announced as SETTINGS_MAX_FRAME_SIZE. */
  readonly maxFrameBytes: number;
  /** The peer may allow larger frames than we send. */
  readonly maxSentFrameBytes: number;
  /** A client may take a stream back after that time, however many it takes. */
  readonly prematureResetMs: number;
  /** So it may after our head has been sent. */
  readonly answeredResetsAreFree: boolean;
}

export interface SessionOptions {
  readonly server: boolean;
  readonly limits: SessionLimits;
  /** The word for streams in messages to the peer: requests, calls, tunnels. */
  readonly streamsName: string;
  readonly nowMs: number;
  /** The limit of open streams: a server's announced one for its client; a client's own. */
  readonly maxStreams: number;
  /** Announced as SETTINGS_MAX_HEADER_LIST_SIZE when given. */
  readonly maxHeaderListBytes?: number | undefined;
  /** How much of a header list is read, so that a slightly too long one can be answered. 64 KiB if absent. */
  readonly maxReadHeaderBytes?: number | undefined;
  /** The assumed limit of a server's streams until it announces one. */
  readonly assumedStreams?: number | undefined;
  /** Quiet time after which the peer is asked for a sign of life; 0 means never. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  /** Whether it is asked while there is no stream. */
  readonly pingsWhenIdle: boolean;
}

/** What a session needs from its surroundings. None of it may throw. */
export interface SessionPort {
  /** Where the next frames go. What is written there is sent soon, without a further call. */
  output(): FrameWriter;
  /** The kernel has enough for now: streams wait until {@link Http2Session.wake}. */
  isFull(): boolean;
  /** A client opened a stream: pass it to {@link Http2Session.adopt}, or {@link Http2Session.refuse} it. */
  opened(streamId: number, fields: readonly string[], endStream: boolean): void;
  /** A stream is gone. */
  streamEnded(): void;
  /** The peer's SETTINGS have come. */
  settingsChanged(): void;
  /** GOAWAY: the peer takes no stream above `lastStreamId`. */
  peerLeaves(lastStreamId: number, code: number, debug: string): void;
  /** No stream is left and none will come. End the connection after the frames that were written. */
  finished(): void;
  /** The peer broke a rule of the connection. GOAWAY was put: end the connection behind it, and all streams. */
  failed(error: Http2ConnectionError): void;
  /** The peer gives no sign of life: end the connection at once. */
  unanswered(): void;
}
