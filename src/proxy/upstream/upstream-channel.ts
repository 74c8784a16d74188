import type { UpstreamEnd } from "../terms/address-text.ts";
import { defaultHeadLimits, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";

/**
 * The maximum size of all interim responses to a request. They end at this hop, so nobody's reading slows down a server
 * that sends them without an end. As in Go.
 */
export const maxInterimBytes = defaultHeadLimits.maxHeadBytes;

/**
 * One request's use of a connection to an endpoint: an HTTP/1.1 connection while it serves the request, or a stream of
 * an HTTP/2 connection. Heads are HTTP/1.1 text on this side, whatever the wire uses.
 */
export interface UpstreamChannel {
  readonly local: UpstreamEnd;
  /** Whether the connection served a request before this one: then the peer may be closing it while we write. */
  readonly reused: boolean;
  /**
   * Whether bytes that were given to {@link send} or {@link write} are still being read, so that they must not change.
   */
  readonly holdsBytes: boolean;
  /** Sets the receiver of the response. Must be called first. */
  begin(receiver: ResponseReceiver): void;
  /**
   * Sends the head, `message[0, headLength)`, and the first part of the body. `last` means that this is the whole
   * request. If it returns false, the caller waits for `upstreamDrained`.
   */
  send(message: Buffer, headLength: number, last: boolean): boolean;
  /** Sends a part of the body. `last` ends the request. Returns the same as {@link send}. */
  write(bytes: Buffer, last: boolean): boolean;
  /** Ends the request with trailers (names and values, alternating). */
  sendTrailers(fields: readonly string[]): void;
  /** Sends bytes of a tunnel. */
  writeTunnel(bytes: Buffer): boolean;
  /** Ends our side of a tunnel. */
  endTunnel(): void;
  /** Pauses the response until {@link resume}. */
  pause(): void;
  resume(): void;
  /** Cancels the request before its response is complete. */
  abandon(): void;
}

/** The exchange that a channel serves. All byte ranges are only valid during the call. */
export interface ResponseReceiver {
  /** The request is HEAD, so its response has no body. */
  readonly toHead: boolean;
  /** The request is CONNECT, so a 2xx response opens a tunnel. */
  readonly toConnect: boolean;
  /** The request asks for another protocol. A 101 response switches to it, and is an error otherwise. */
  readonly toUpgrade: boolean;
  /** The receiver wants the data of a chunked body without framing. */
  readonly wantsPlainBody: boolean;
  /** The request's body has no framing and unknown length, so HTTP/1.1 needs chunks. */
  readonly chunksRequest: boolean;
  /** HTTP/1.1 trailers are forwarded in both directions. */
  readonly http1Trailers: boolean;
  readonly scheme: string;
  interimResponse(head: MessageHead): void;
  /** The final head, and the part of the body in `bytes[from, to)`. `last` means that the response is complete. */
  response(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean): void;
  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** The end of the response, with trailers (names and values, alternating). */
  responseTrailers(fields: readonly string[]): void;
  /** A 101, or a 2xx to CONNECT. From now on, bytes are relayed unchanged, starting with `bytes[from, to)`. */
  switched(head: MessageHead, from: number, to: number): void;
  switchedBytes(bytes: Buffer): void;
  switchedEnd(): void;
  /** The connection ended or broke protocol before the response was complete. */
  upstreamFailed(failure: UpstreamFailure): void;
  /** The channel accepts bytes again. */
  upstreamDrained(): void;
}

export interface UpstreamFailure {
  /**
   * `reset`: the peer reset this request only. `refused`: the peer did not process the request, so it may be sent
   * again.
   */
  readonly kind: "closed" | "protocol-error" | "reset" | "refused";
  /** Whether any byte of a response had arrived. */
  readonly anyByte: boolean;
  /** Whether nothing of the request has left this process. */
  readonly nothingSent: boolean;
  readonly message: string;
}

/**
 * Whether a failure says anything about the endpoint. The end of a connection that was closed while idle does not. A
 * refused request means that the endpoint is going away.
 */
export function blamesEndpoint({ kind, anyByte }: UpstreamFailure, channel: UpstreamChannel | undefined): boolean {
  return kind !== "refused" && (anyByte || channel?.reused !== true);
}
