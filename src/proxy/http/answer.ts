import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { LocalReply, ResponseComposition } from "./messages/compose-response.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

const noTexts: readonly string[] = [];

/** An upstream's response head, followed by the first part of its body. */
export interface UpstreamAnswer {
  readonly head: MessageHead;
  readonly framing: BodyFraming;
  /** Where the first part of the body begins and ends in the bytes of the head. */
  readonly from: number;
  readonly to: number;
  readonly last: boolean;
  readonly sentAtMs: number;
}

/** The response of one exchange. Its subclasses write it for the client's version of HTTP. */
export abstract class Answer {
  protected readonly context: ExchangeContext;
  protected readonly request: ExchangeRequest;
  protected readonly config: HttpConnectionConfig;
  protected readonly clientKeepsAlive: boolean;
  /** Whether a head has been sent to the client. */
  started = false;
  keepAlive = false;
  /**
   * Whether the response is complete before its request is. An HTTP/1.1 connection then closes, and the response says
   * so.
   */
  precedesRequest = false;
  status = 0;
  sentBytes = 0;
  /**
   * The `x-envoy-upstream-service-time` of the response, in milliseconds. -1 if no upstream responded, or it responded
   * before it had the whole request.
   */
  upstreamServiceMs = -1;
  /** When the upstream's response began, on the steady clock. -1 without a response. */
  answeredAtMs = -1;
  grpcStatus = "";
  captured = noTexts;
  /** The trailers of the upstream's response, as alternating names and values. */
  receivedTrailers = noTexts;
  /** Whether the client's proxy identified itself. This proxy then identifies itself in the response. */
  peerAsked = false;

  constructor(
    context: ExchangeContext,
    config: HttpConnectionConfig,
    request: ExchangeRequest,
    clientKeepsAlive: boolean,
  ) {
    this.context = context;
    this.config = config;
    this.request = request;
    this.clientKeepsAlive = clientKeepsAlive;
  }

  /** Sends `100 Continue`, if the client's protocol has it. */
  abstract sayContinue(): void;
  /**
   * Passes the upstream's head and the first part of its body to the client. Returns false if the client accepts no
   * more bytes for now. The methods below return the same.
   */
  abstract fromUpstream(upstream: UpstreamAnswer, edits: HeaderEdits | undefined): boolean;
  abstract body(bytes: Buffer, from: number, to: number, last: boolean): boolean;
  /** Ends the body with trailers (names and values, alternating). */
  abstract trailers(fields: readonly string[]): boolean;
  /** Sends the head that switches protocols, and the first bytes of the new protocol. */
  abstract switching(
    head: MessageHead,
    from: number,
    to: number,
    edits: HeaderEdits | undefined,
    sentAtMs: number,
  ): boolean;
  abstract raw(bytes: Buffer): boolean;
  /**
   * Sends a response of the proxy itself. `mayKeepAlive` is false if the client's next bytes cannot be trusted to begin
   * a request.
   */
  abstract local(reply: LocalReply, mayKeepAlive: boolean): boolean;

  /** Ends a body that already contains the trailers, in the form that the client expects. */
  trailersInBody(fields: readonly string[], bytes: Buffer): boolean {
    this.noteTrailers(fields);
    return this.body(bytes, 0, bytes.length, true);
  }

  protected note(head: MessageHead, sentAtMs: number): void {
    this.started = true;
    this.status = head.status;
    const nowMs = this.context.clock.steadyMs();
    this.answeredAtMs = nowMs;
    // If the upstream responds before it has the whole request, the time between the two cannot be measured.
    this.upstreamServiceMs = sentAtMs < 0 ? -1 : Math.max(0, Math.round(nowMs - sentAtMs));
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
    const { peerMetadata } = this.config;
    const { ownMetadata } = this.context;
    return {
      head,
      config: this.config,
      delivery,
      connection,
      upstreamServiceMs: this.config.hidesEnvoyHeaders ? -1 : this.upstreamServiceMs,
      requestId: this.config.requestIdInResponse ? this.request.requestId : undefined,
      peerMetadata: this.peerAsked && peerMetadata.writeToClient ? ownMetadata?.(peerMetadata.labelNames) : undefined,
      edits,
      date: this.context.date.now(),
    };
  }
}
