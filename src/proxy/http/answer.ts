import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { LocalReply, ResponseComposition } from "./compose-response.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/** An exchange's answer on its way to the client, in the form that the client's version of HTTP can take. */
export abstract class Answer {
  protected readonly context: ExchangeContext;
  protected readonly request: ExchangeRequest;
  protected config: HttpConnectionConfig;
  protected clientKeepsAlive = false;
  /** A head has been written. */
  started = false;
  /** The connection may go on after it. */
  keepAlive = false;
  status = 0;
  sentBytes = 0;
  /** -1 without an answer of the upstream. */
  upstreamServiceMs = -1;
  grpcStatus = "";
  captured: readonly string[] = [];
  /** Names and values in turn. */
  receivedTrailers: readonly string[] = [];
  /** The client's proxy identified itself, so the response identifies this one. */
  peerAsked = false;

  constructor(context: ExchangeContext, request: ExchangeRequest) {
    this.context = context;
    this.request = request;
    this.config = context.config();
  }

  reset(config: HttpConnectionConfig, clientKeepsAlive: boolean): void {
    this.config = config;
    this.clientKeepsAlive = clientKeepsAlive;
    this.started = false;
    this.keepAlive = false;
    this.status = 0;
    this.sentBytes = 0;
    this.upstreamServiceMs = -1;
    this.grpcStatus = "";
    this.captured = [];
    this.receivedTrailers = [];
    this.peerAsked = false;
  }

  /** `100 Continue`, to whom it means something. */
  abstract sayContinue(): void;
  /**
   * Passes the upstream's head and the first part of the body. False means that the client takes no more for now; this
   * also holds for the methods below.
   */
  abstract fromUpstream(
    head: MessageHead,
    framing: BodyFraming,
    from: number,
    to: number,
    last: boolean,
    edits: HeaderEdits | undefined,
    sentAtMs: number,
  ): boolean;
  abstract body(bytes: Buffer, from: number, to: number, last: boolean): boolean;
  /** The end of the body, with trailers (names and values in turn). */
  abstract trailers(fields: readonly string[]): boolean;
  /** The head that switches protocols, and the first bytes of the new one. */
  abstract switching(
    head: MessageHead,
    from: number,
    to: number,
    edits: HeaderEdits | undefined,
    sentAtMs: number,
  ): boolean;
  /** Bytes of a tunnel. */
  abstract raw(bytes: Buffer): boolean;
  /** An answer of our own; `mayKeepAlive` unless what follows on the connection cannot be trusted. */
  abstract local(reply: LocalReply, mayKeepAlive: boolean): boolean;

  /** The end of the body, in which trailers have been written as the client takes them. */
  trailersInBody(fields: readonly string[], bytes: Buffer): boolean {
    this.noteTrailers(fields);
    return this.body(bytes, 0, bytes.length, true);
  }

  protected note(head: MessageHead, sentAtMs: number): void {
    this.started = true;
    this.status = head.status;
    // An upstream that responds before it has the whole request has no measurable duration.
    this.upstreamServiceMs = sentAtMs < 0 ? -1 : Math.max(0, Math.round(this.context.clock.steadyMs() - sentAtMs));
    const grpcStatus = head.find("grpc-status");
    if (grpcStatus >= 0) this.grpcStatus = head.value(grpcStatus);
    if (this.config.responseCapture.length > 0)
      this.captured = this.config.responseCapture.map((name) => head.get(name) ?? "");
  }

  protected noteTrailers(fields: readonly string[]): void {
    this.receivedTrailers = fields;
    for (let at = 0; at < fields.length; at += 2)
      if (fields[at] === "grpc-status") this.grpcStatus = fields[at + 1] ?? "";
  }

  protected composition(
    head: MessageHead,
    delivery: ResponseComposition["delivery"],
    connection: ResponseComposition["connection"],
    edits: HeaderEdits | undefined,
  ): ResponseComposition {
    return {
      head,
      config: this.config,
      delivery,
      connection,
      upstreamServiceMs: this.upstreamServiceMs,
      requestId: this.config.requestIdInResponse ? this.request.requestId : undefined,
      peerMetadata: this.config.peerMetadata.writeToClient && this.peerAsked ? this.context.ownMetadata : undefined,
      edits,
      date: this.context.date.now(),
    };
  }
}
