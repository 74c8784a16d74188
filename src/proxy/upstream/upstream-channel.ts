import type { SocketAddress } from "../../net/index.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";

/**
 * One request's use of a connection to an endpoint: an HTTP/1.1 connection while it serves the request, or a stream of
 * an HTTP/2 connection. Heads are HTTP/1.1 text on this side, whatever the wire uses.
 */
export interface UpstreamChannel {
  readonly local: SocketAddress;
  /** Whether the connection served a request before this one: then the peer may be closing it while we write. */
  readonly reused: boolean;
  /** Whether bytes that were given to {@link send} or {@link write} are still being read, so that they must not change. */
  readonly holdsBytes: boolean;
  /** Sets the receiver of the response. Must be called first. */
  begin(receiver: ResponseReceiver): void;
  /**
   * The head, `message[0, headLength)`, and the first part of the body. `last`: this is the whole request. False means:
   * wait for `upstreamDrained`.
   */
  send(message: Buffer, headLength: number, last: boolean): boolean;
  /** More of the body; `last` ends the request. Answers as {@link send}. */
  write(bytes: Buffer, last: boolean): boolean;
  /** The end of the request, with trailers (names and values in turn). */
  sendTrailers(fields: readonly string[]): void;
  /** Bytes of a tunnel. */
  writeTunnel(bytes: Buffer): boolean;
  /** Our side of a tunnel has ended. */
  endTunnel(): void;
  /** The answer's bytes wait until {@link resume}. */
  pause(): void;
  resume(): void;
  /** Gives the request up before its answer is complete. */
  abandon(): void;
}

/** The exchange that a channel serves. All ranges hold only during the call. */
export interface ResponseReceiver {
  /** The request was HEAD: its response has no body. */
  readonly toHead: boolean;
  /** The request was CONNECT: an answer of 2xx opens a tunnel. */
  readonly toConnect: boolean;
  /** The request asked for another protocol: an answer of 101 switches to it, and is a fault without that. */
  readonly toUpgrade: boolean;
  /** Data of a chunked body is wanted without its framing. */
  readonly wantsPlainBody: boolean;
  /** The request's body comes without framing although its length is not known: HTTP/1.1 puts it in chunks. */
  readonly chunksRequest: boolean;
  /** Trailers over HTTP/1.1 go on, both ways. */
  readonly http1Trailers: boolean;
  readonly scheme: string;
  interimResponse(head: MessageHead): void;
  /** The final head, with what came of its body in `bytes[from, to)`; `last` when the response is complete with it. */
  response(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean): void;
  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void;
  /** The end of the response, with trailers (names and values in turn). */
  responseTrailers(fields: readonly string[]): void;
  /** 101, or the 200 to a CONNECT: from now on bytes go both ways as they are, first `bytes[from, to)`. */
  switched(head: MessageHead, from: number, to: number): void;
  switchedBytes(bytes: Buffer): void;
  switchedEnd(): void;
  /** The connection ended or broke protocol before the response was complete. */
  upstreamFailed(failure: UpstreamFailure): void;
  /** The channel takes bytes again. */
  upstreamDrained(): void;
}

export interface UpstreamFailure {
  /**
   * `reset`: the peer reset this request only. `refused`: the peer did not process the request, so it may be sent
   * again.
   */
  readonly kind: "closed" | "protocol-error" | "reset" | "refused";
  /** At least one byte of an answer had come. */
  readonly anyByte: boolean;
  /** Nothing of the request has left this process. */
  readonly nothingSent: boolean;
  readonly message: string;
}
