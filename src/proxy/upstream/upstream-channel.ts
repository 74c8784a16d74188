import type { UpstreamEnd } from "../terms/address-text.ts";
import { defaultHeadLimits, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";

/**
 * The maximum total size of the interim responses to a request, as in Go. The proxy forwards at most one of them, a
 * status 100. So a client that reads slowly cannot slow down a server that sends them without end.
 */
export const maxInterimBytes = defaultHeadLimits.maxHeadBytes;

/**
 * One request's use of a connection to an endpoint: an HTTP/1.1 connection while it serves the request, or one stream
 * of an HTTP/2 connection. Heads have the form of HTTP/1.1 text here, whatever the wire uses.
 */
export interface UpstreamChannel {
  readonly local: UpstreamEnd;
  /**
   * Whether the connection has served an earlier request. The peer may then be closing it while the request is written.
   */
  readonly reused: boolean;
  /**
   * Whether the channel still reads bytes that were given to {@link send} or {@link write}. The caller must not change
   * them.
   */
  readonly holdsBytes: boolean;
  /** Sets the receiver of the response. Must be called before the other methods. */
  begin(receiver: ResponseReceiver): void;
  /**
   * Sends the head, `message[0, headLength)`, and the first part of the body behind it. `last` says that this is the
   * whole request. If the result is false, the caller must wait for `upstreamDrained`.
   */
  send(message: Buffer, headLength: number, last: boolean): boolean;
  /** Sends a part of the body. `last` ends the request. Returns the same as {@link send}. */
  write(bytes: Buffer, last: boolean): boolean;
  /** Ends the request with trailers (alternating names and values). */
  sendTrailers(fields: readonly string[]): void;
  writeTunnel(bytes: Buffer): boolean;
  endTunnel(): void;
  pause(): void;
  resume(): void;
  abandon(): void;
}

/** Receives the response of a channel. All byte ranges are valid only during the call. */
export interface ResponseReceiver {
  /** Whether the request is HEAD, so that its response has no body. */
  readonly toHead: boolean;
  /** Whether the request is CONNECT, so that a 2xx response opens a tunnel. */
  readonly toConnect: boolean;
  /** Whether the request asks for another protocol. A 101 response then switches to it, and is an error otherwise. */
  readonly toUpgrade: boolean;
  /** Whether the receiver wants the data of a chunked body without its framing. */
  readonly wantsPlainBody: boolean;
  /** Whether the request's body has no framing and no known length, so that HTTP/1.1 must send it in chunks. */
  readonly chunksRequest: boolean;
  /** Whether HTTP/1.1 trailers are forwarded, in both directions. */
  readonly http1Trailers: boolean;
  readonly scheme: string;
  interimResponse(head: MessageHead): void;
  /**
   * Called with the final head. `bytes[from, to)` is the first part of the body. `last` says that the response is
   * complete.
   */
  response(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean): void;
  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** Called at the end of the response, with its trailers (alternating names and values). */
  responseTrailers(fields: readonly string[]): void;
  /**
   * Called for a 101, or for a 2xx to CONNECT. From now on, bytes are relayed unchanged, beginning with `bytes[from,
   * to)`.
   */
  switched(head: MessageHead, from: number, to: number): void;
  switchedBytes(bytes: Buffer): void;
  switchedEnd(): void;
  /** Called if the connection ended or violated the protocol before the response was complete. */
  upstreamFailed(failure: UpstreamFailure): void;
  /** Called when the channel accepts bytes again. */
  upstreamDrained(): void;
}

export interface UpstreamFailure {
  /**
   * `reset` means that the peer reset this request only. `refused` means that the peer did not process the request, so
   * it may be sent again.
   */
  readonly kind: "closed" | "protocol-error" | "reset" | "refused";
  readonly anyByte: boolean;
  /** Whether nothing of the request has left this process. */
  readonly nothingSent: boolean;
  readonly message: string;
}

/**
 * Whether a failure counts against the endpoint. A failure before the first byte of the response does not count on a
 * connection that has served an earlier request, because the peer may have closed the idle connection. A refused
 * request does not count either, because the endpoint is going away.
 */
export function blamesEndpoint({ kind, anyByte }: UpstreamFailure, channel: UpstreamChannel | undefined): boolean {
  return kind !== "refused" && (anyByte || channel?.reused !== true);
}
