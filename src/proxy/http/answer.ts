import type { ByteStream } from "../../net/index.ts";
import { bodyFramings, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import { scratch, sendScratch } from "./byte-builder.ts";
import { composeLocalReply, composeResponse, type BodyDelivery, type LocalReply } from "./compose-response.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/** The first part of a body goes in one write with the head up to this size; more is worth a write of its own. */
const maxJoinedBytes = 16 * 1024;

/** An exchange's answer on its way to the client, in the form that the client's version of HTTP can take. */
export class Answer {
  readonly #stream: ByteStream;
  readonly #context: ExchangeContext;
  readonly #request: ExchangeRequest;
  #config: HttpConnectionConfig;
  #delivery: BodyDelivery = "as-is";
  #clientKeepsAlive = false;
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

  constructor(stream: ByteStream, context: ExchangeContext, request: ExchangeRequest) {
    this.#stream = stream;
    this.#context = context;
    this.#request = request;
    this.#config = context.config();
  }

  reset(config: HttpConnectionConfig, clientKeepsAlive: boolean): void {
    this.#config = config;
    this.#clientKeepsAlive = clientKeepsAlive;
    this.#delivery = "as-is";
    this.started = false;
    this.keepAlive = false;
    this.status = 0;
    this.sentBytes = 0;
    this.upstreamServiceMs = -1;
    this.grpcStatus = "";
    this.captured = [];
  }

  /** `100 Continue`, to whom it means something. */
  sayContinue(): void {
    if (this.#request.protocol === "HTTP/1.0") return;
    scratch.clear();
    scratch.text("HTTP/1.1 100 Continue\r\n\r\n");
    sendScratch(this.#stream);
  }

  /** The upstream's head with what came of the body. Answers as {@link ByteStream.write}, as all below do. */
  fromUpstream(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean, edits: HeaderEdits | undefined, sentAtMs: number): boolean {
    this.#note(head, sentAtMs);
    this.#deliverAs(framing);
    this.keepAlive = this.#clientKeepsAlive && !this.#context.draining && this.#delivery !== "until-close";
    this.#composeHead(head, this.#connectionToSay(framing), edits);
    if (to - from > maxJoinedBytes && this.#delivery !== "wrap-in-chunks") {
      sendScratch(this.#stream);
      return this.body(head.bytes, from, to, last);
    }
    this.#append(head.bytes, from, to, last);
    return sendScratch(this.#stream);
  }

  body(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    if (this.#delivery === "wrap-in-chunks") {
      scratch.clear();
      this.#append(bytes, from, to, last);
      return scratch.length === 0 || sendScratch(this.#stream);
    }
    this.sentBytes += to - from;
    // Bytes of the read under way may be handed on as they are: the byte path keeps them until they are sent.
    return to === from || this.#stream.write(bytes.subarray(from, to));
  }

  /** The head that switches protocols, and the first bytes of the new one. */
  switching(head: MessageHead, from: number, to: number, edits: HeaderEdits | undefined, sentAtMs: number): boolean {
    this.#note(head, sentAtMs);
    this.keepAlive = false;
    this.#composeHead(head, head.status === 101 ? "upgrade" : undefined, edits);
    this.#append(head.bytes, from, to, false);
    return sendScratch(this.#stream);
  }

  /** Bytes of a tunnel. */
  raw(bytes: Buffer): boolean {
    this.sentBytes += bytes.length;
    return this.#stream.write(bytes);
  }

  /** An answer of our own; `mayKeepAlive` unless what follows on the connection cannot be trusted. */
  local(reply: LocalReply, mayKeepAlive: boolean): boolean {
    this.started = true;
    this.status = reply.status;
    this.keepAlive = this.#clientKeepsAlive && mayKeepAlive && !this.#context.draining;
    scratch.clear();
    this.sentBytes = composeLocalReply(scratch, reply, {
      serverName: this.#config.serverName,
      date: this.#context.date.now(),
      connection: this.#connectionToSay(bodyFramings.length),
      toHead: this.#request.method === "HEAD",
    });
    return sendScratch(this.#stream);
  }

  #note(head: MessageHead, sentAtMs: number): void {
    this.started = true;
    this.status = head.status;
    this.upstreamServiceMs = Math.max(0, Math.round(this.#context.clock.steadyMs() - sentAtMs));
    const grpcStatus = head.find("grpc-status");
    if (grpcStatus >= 0) this.grpcStatus = head.value(grpcStatus);
    if (this.#config.responseCapture.length > 0) this.captured = this.#config.responseCapture.map((name) => head.get(name) ?? "");
  }

  #deliverAs(framing: BodyFraming): void {
    const old = this.#request.protocol === "HTTP/1.0";
    if (framing === bodyFramings.chunked) this.#delivery = old ? "until-close" : "as-is";
    else if (framing === bodyFramings.untilClose) this.#delivery = old ? "until-close" : "wrap-in-chunks";
    else this.#delivery = "as-is";
  }

  #connectionToSay(framing: BodyFraming): "close" | "keep-alive" | undefined {
    if (!this.keepAlive) return "close";
    return this.#request.protocol === "HTTP/1.0" && framing !== bodyFramings.untilClose ? "keep-alive" : undefined;
  }

  #composeHead(head: MessageHead, connection: "close" | "keep-alive" | "upgrade" | undefined, edits: HeaderEdits | undefined): void {
    scratch.clear();
    composeResponse(scratch, {
      head,
      config: this.#config,
      delivery: this.#delivery,
      connection,
      upstreamServiceMs: this.upstreamServiceMs,
      requestId: this.#config.requestIdInResponse ? this.#request.requestId : undefined,
      edits,
      date: this.#context.date.now(),
    });
  }

  #append(bytes: Buffer, from: number, to: number, last: boolean): void {
    const size = to - from;
    this.sentBytes += size;
    if (this.#delivery !== "wrap-in-chunks") {
      scratch.range(bytes, from, to);
      return;
    }
    if (size > 0) {
      scratch.text(`${size.toString(16)}\r\n`);
      scratch.range(bytes, from, to);
      scratch.text("\r\n");
    }
    if (last) scratch.text("0\r\n\r\n");
  }
}
