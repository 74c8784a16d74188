import { MessageHead, scanResponseHead } from "../../wire/http1/index.ts";
import { errorCode } from "../../wire/http2/index.ts";
import { responseBlock } from "../http2/http2-heads.ts";
import type { Http2Stream } from "../http2/http2-stream.ts";
import { composedLimits } from "../terms/composed-limits.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import { Answer, type UpstreamAnswer } from "./answer.ts";
import { scratch } from "./messages/byte-builder.ts";
import { composeLocalReply, composeResponse, type LocalReply } from "./messages/compose-response.ts";
import { composeResponseBlock } from "./messages/compose-response-block.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";

/** The composed head. This thread reads one head at a time, so all responses share the memory. */
const composedHead = new MessageHead(composedLimits);

export class Http2Answer extends Answer {
  readonly #stream: Http2Stream;

  constructor(
    stream: Http2Stream,
    context: ExchangeContext,
    config: HttpConnectionConfig,
    request: ExchangeRequest,
    clientKeepsAlive: boolean,
  ) {
    super(context, config, request, clientKeepsAlive);
    this.#stream = stream;
  }

  sayContinue(): void {
    this.#stream.sendHeaders([":status", "100"], false);
  }

  fromUpstream(upstream: UpstreamAnswer, edits: HeaderEdits | undefined): boolean {
    const { head, from, to, last, sentAtMs } = upstream;
    this.note(head, sentAtMs);
    this.keepAlive = true;
    const composition = this.composition(head, "as-is", undefined, edits);
    const block = composeResponseBlock(composition);
    if (block !== undefined) this.#stream.sendHead(block, last && from === to);
    else {
      scratch.clear();
      composeResponse(scratch, composition);
      this.#sendHead(last && from === to);
    }
    return (last && from === to) || this.body(head.bytes, from, to, last);
  }

  body(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    this.sentBytes += to - from;
    if (from === to && !last) return true;
    const isWhole = from === 0 && to === bytes.length;
    return this.#stream.write(isWhole ? bytes : bytes.subarray(from, to), last);
  }

  trailers(fields: readonly string[]): boolean {
    this.noteTrailers(fields);
    this.#stream.sendTrailers(fields);
    return true;
  }

  switching(head: MessageHead, from: number, to: number, edits: HeaderEdits | undefined, sentAtMs: number): boolean {
    this.note(head, sentAtMs);
    scratch.clear();
    composeResponse(scratch, this.composition(head, "as-is", undefined, edits));
    this.#sendHead(false);
    return this.body(head.bytes, from, to, false);
  }

  raw(bytes: Buffer): boolean {
    return this.body(bytes, 0, bytes.length, false);
  }

  local(reply: LocalReply, _mayKeepAlive: boolean): boolean {
    this.started = true;
    this.status = reply.status;
    this.keepAlive = true;
    scratch.clear();
    this.sentBytes = composeLocalReply(scratch, reply, {
      config: this.config,
      date: this.context.date.now(),
      connection: undefined,
      toHead: this.request.method === "HEAD",
    });
    const end = this.#sendHead(this.sentBytes === 0);
    return this.sentBytes === 0 || this.#stream.write(scratch.view(end), true);
  }

  /** Sends the head that is composed in the shared buffer. Returns where the head ends, or 0 if it is invalid. */
  #sendHead(endStream: boolean): number {
    const end = scanResponseHead(composedHead, scratch.buffer, 0, scratch.length, composedLimits);
    // A configured header may make the head invalid. Then the response cannot be sent.
    if (end > 0) this.#stream.sendHead(responseBlock(composedHead), endStream);
    else this.#stream.reset(errorCode.internalError);
    return Math.max(0, end);
  }
}
