import type { ByteStream } from "../../net/index.ts";
import { bodyFramings, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";
import { textOfTrailers } from "../http2/http2-heads.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import { Answer, type UpstreamAnswer } from "./answer.ts";
import { scratch, sendScratch } from "./messages/byte-builder.ts";
import { composeLocalReply, composeResponse, type BodyDelivery, type LocalReply } from "./messages/compose-response.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/** The maximum size of a body part that is copied behind the head into one write. A larger part gets its own write. */
const maxJoinedBytes = 16 * 1024;

export class Http1Answer extends Answer {
  readonly #stream: ByteStream;
  #delivery: BodyDelivery = "as-is";
  /**
   * Whether the response must have no body, whatever its head says. The client would read a body as the response to its
   * next request.
   */
  #isBodiless = false;

  constructor(
    stream: ByteStream,
    context: ExchangeContext,
    config: HttpConnectionConfig,
    request: ExchangeRequest,
    clientKeepsAlive: boolean,
  ) {
    super(context, config, request, clientKeepsAlive);
    this.#stream = stream;
  }

  sayContinue(): void {
    if (this.request.protocol === "HTTP/1.0") return;
    scratch.clear();
    scratch.text("HTTP/1.1 100 Continue\r\n\r\n");
    sendScratch(this.#stream);
  }

  fromUpstream(upstream: UpstreamAnswer, edits: HeaderEdits | undefined): boolean {
    const { head, framing, from, to, last, sentAtMs } = upstream;
    this.note(head, sentAtMs);
    this.#isBodiless = !this.#mayHaveBody(head.status);
    this.#deliverAs(head, framing);
    this.keepAlive = this.#mayKeepAlive() && this.#delivery !== "until-close";
    scratch.clear();
    composeResponse(scratch, this.composition(head, this.#delivery, this.#connectionToSay(framing), edits));
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
    if (this.#isBodiless) return true;
    this.sentBytes += to - from;
    // Pass the bytes of the current read without a copy: the byte path keeps them until they have been sent.
    return to === from || this.#stream.write(bytes.subarray(from, to));
  }

  trailers(fields: readonly string[]): boolean {
    this.noteTrailers(fields);
    if (this.#delivery !== "wrap-in-chunks") return true;
    scratch.clear();
    scratch.text(`0\r\n${this.config.http1Trailers ? textOfTrailers(fields) : ""}\r\n`);
    return sendScratch(this.#stream);
  }

  switching(head: MessageHead, from: number, to: number, edits: HeaderEdits | undefined, sentAtMs: number): boolean {
    this.note(head, sentAtMs);
    this.keepAlive = false;
    scratch.clear();
    composeResponse(
      scratch,
      this.composition(head, this.#delivery, head.status === 101 ? "upgrade" : undefined, edits),
    );
    this.#append(head.bytes, from, to, false);
    return sendScratch(this.#stream);
  }

  raw(bytes: Buffer): boolean {
    this.sentBytes += bytes.length;
    return this.#stream.write(bytes);
  }

  local(reply: LocalReply, mayKeepAlive: boolean): boolean {
    this.started = true;
    this.status = reply.status;
    this.keepAlive = this.#mayKeepAlive() && mayKeepAlive;
    scratch.clear();
    this.sentBytes = composeLocalReply(scratch, reply, {
      config: this.config,
      date: this.context.date.now(),
      connection: this.#connectionToSay(bodyFramings.length),
      toHead: this.request.method === "HEAD",
    });
    return sendScratch(this.#stream);
  }

  /**
   * Whether the connection can take another request.
   *
   * A client may send its tunnel's bytes right after a CONNECT, without waiting. If it gets no tunnel, the
   * connection must close: these bytes may come from someone else, and must not be read as the client's next requests.
   *
   * This is a method and not a getter, because V8 calls into its runtime for each use of a private getter.
   */
  #mayKeepAlive(): boolean {
    return this.clientKeepsAlive && !this.precedesRequest && !this.context.draining && !this.request.isConnect;
  }

  #deliverAs(head: MessageHead, framing: BodyFraming): void {
    const old = this.request.protocol === "HTTP/1.0";
    if (this.#isBodiless) this.#delivery = "as-is";
    else if (framing === bodyFramings.chunked) this.#delivery = old ? "until-close" : "as-is";
    else if (framing === bodyFramings.untilClose) this.#delivery = old ? "until-close" : "wrap-in-chunks";
    else this.#delivery = framing === bodyFramings.none && head.contentLength < 0 ? "empty" : "as-is";
  }

  #mayHaveBody(status: number): boolean {
    return this.request.method !== "HEAD" && status >= 200 && status !== 204 && status !== 304;
  }

  #connectionToSay(framing: BodyFraming): "close" | "keep-alive" | undefined {
    if (!this.keepAlive) return "close";
    return this.request.protocol === "HTTP/1.0" && framing !== bodyFramings.untilClose ? "keep-alive" : undefined;
  }

  #append(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.#isBodiless) return;
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
