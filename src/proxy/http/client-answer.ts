import { bodyFramings, type MessageHead } from "../../wire/http1/index.ts";
import { decodePeerMetadata, peerMetadataHeader } from "../peers/peer-metadata.ts";
import type { HeaderEdits, HeaderMutation } from "../routing/header-mutation.ts";
import { permittedTrailers } from "../terms/trailers.ts";
import type { Answer, UpstreamAnswer } from "./answer.ts";
import type { AnswerFilters } from "./answer-filters.ts";
import type { LocalReply } from "./messages/compose-response.ts";
import { mutationContext, responseEdits } from "./exchange-edits.ts";
import type { ExchangeParts } from "./exchange-parts.ts";
import type { ComposedAnswer } from "./filtered-answer.ts";
import type { GrpcWebTranslation } from "./grpc-web.ts";
import { fieldsForPeer, leavesClient, overloadFields, shapeReply } from "./local-reply.ts";
import { endTable, type ReplyRow } from "./reply-table.ts";

type Fields = HeaderEdits["added"];

const noFields: Fields = [];
const noMutations: readonly HeaderMutation[] = [];

export interface AnsweredExchange extends ExchangeParts {
  finish(): void;
}

/**
 * Takes one response to the client, from an upstream or from the proxy itself. It edits the response's headers, passes
 * it through the filters, and translates gRPC to gRPC-Web. If several responses come, only the first one whose head is
 * written reaches the client.
 */
export class ClientAnswer {
  readonly #exchange: AnsweredExchange;
  readonly #answer: Answer;
  /** The changes of the response's headers, in their order. As in Envoy, they apply to the proxy's own replies too. */
  mutations = noMutations;
  /** Changes of headers that apply to an upstream's response only. */
  upstreamMutations = noMutations;
  /** Headers that filters add to the response's head, even if the proxy itself responds. */
  addedFields = noFields;
  /** The filters that process the response. Undefined if there are none. */
  filters: AnswerFilters | undefined;
  /** Translates a gRPC response to gRPC-Web. Undefined unless the client speaks gRPC-Web. */
  grpcWeb: GrpcWebTranslation | undefined;
  #saidContinue = false;

  constructor(exchange: AnsweredExchange, answer: Answer) {
    this.#exchange = exchange;
    this.#answer = answer;
  }

  get isSent(): boolean {
    return this.#answer.started;
  }

  /** Whether a response has begun. It may still be in the filters. */
  get begun(): boolean {
    return this.#answer.started || this.filters?.begun === true;
  }

  /** Called if the client's proxy identified itself. The response then identifies this proxy. */
  peerAsked(): void {
    this.#answer.peerAsked = true;
  }

  /**
   * Sends `100 Continue`, but only once. Otherwise a server that repeats it could fill the memory while the client does
   * not read.
   */
  sayContinue(): void {
    if (this.#saidContinue) return;
    this.#saidContinue = true;
    this.#answer.sayContinue();
  }

  // ---- an upstream's response

  head(upstream: UpstreamAnswer): void {
    const { head, from, to } = upstream;
    const { record, facts, config } = this.#exchange;
    record.endsBy(endTable.answered);
    if (config.peerMetadata.readFromUpstream) {
      const peer = head.get(peerMetadataHeader);
      if (peer !== undefined) record.upstreamPeer = decodePeerMetadata(peer, config.peerMetadata.labelNames);
    }
    if (facts.isGrpc) record.countAnswer(head.bytes, from, to);
    const edits = this.#upstreamEdits(head);
    const { filters } = this;
    if (filters === undefined || filters.begun) this.#sendHead(upstream, edits);
    else filters.begin(upstream, edits);
  }

  body(bytes: Buffer, from: number, to: number, last: boolean): void {
    const { facts, record } = this.#exchange;
    if (facts.isGrpc) record.countAnswer(bytes, from, to);
    if (this.filters?.body(bytes, from, to, last) !== true) this.sendBody(bytes, from, to, last);
  }

  trailers(received: readonly string[]): void {
    const trailers = permittedTrailers(received);
    if (this.filters?.end(trailers) !== true) this.sendTrailers(trailers);
  }

  switching(head: MessageHead, from: number, to: number, sentAtMs: number): void {
    this.#exchange.record.details = endTable.answered.details;
    if (!this.#answer.switching(head, from, to, this.#upstreamEdits(head), sentAtMs)) this.#exchange.attempts.pause();
  }

  tunnelBytes(bytes: Buffer): void {
    if (!this.#answer.raw(bytes)) this.#exchange.attempts.pause();
  }

  // ---- The output of the filters. Each method returns whether the client accepts more bytes.

  sendFiltered(answer: ComposedAnswer, edits: HeaderEdits, sentAtMs: number): boolean {
    return this.#sendHead({ ...answer, sentAtMs }, edits);
  }

  #sendHead(upstream: UpstreamAnswer, given: HeaderEdits | undefined): boolean {
    const { head, framing, from, to, last } = upstream;
    const { grpcWeb } = this;
    const answer = this.#answer;
    answer.precedesRequest = last && !this.#exchange.request.complete;
    const edits = grpcWeb === undefined ? given : grpcWeb.answer(head, given, last && from === to);
    if (grpcWeb?.translatesAnswer !== true || (last && from === to)) {
      // The chunked framing of a response to a gRPC-Web client is already removed here, even if the response is not
      // gRPC: gRPC-Web is made from plain frames.
      const wasDecoded = grpcWeb !== undefined && framing === bodyFramings.chunked;
      const shown = wasDecoded ? { ...upstream, framing: bodyFramings.untilClose } : upstream;
      return this.#afterSend(answer.fromUpstream(shown, edits), last);
    }
    const headAlone = { ...upstream, framing: bodyFramings.untilClose, to: from, last: false };
    const more = answer.fromUpstream(headAlone, edits);
    return from === to ? this.#afterSend(more, false) : this.sendBody(head.bytes, from, to, last);
  }

  sendBody(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    const web = this.grpcWeb?.translatesAnswer === true ? this.grpcWeb.answerBody(bytes, from, to) : undefined;
    return this.#afterSend(
      web === undefined ? this.#answer.body(bytes, from, to, last) : this.#answer.body(web, 0, web.length, last),
      last,
    );
  }

  sendTrailers(fields: readonly string[]): void {
    const web = this.grpcWeb?.translatesAnswer === true ? this.grpcWeb.answerTrailers(fields) : undefined;
    this.#afterSend(web === undefined ? this.#answer.trailers(fields) : this.#answer.trailersInBody(fields, web), true);
  }

  #afterSend(more: boolean, last: boolean): boolean {
    const exchange = this.#exchange;
    const { owner, request, attempts } = exchange;
    owner.touch();
    if (last) {
      if (!request.complete && attempts.upstreamProtocol === "http1") owner.upstreamLost();
      exchange.finish();
      owner.exchangeEnded(this.#answer.keepAlive && request.complete, more);
    } else if (!more) attempts.pause();
    return more;
  }

  // ---- the proxy's own reply

  /** Sends the proxy's own reply for a cause. The given fields replace those of the route that have the same names. */
  reply(row: ReplyRow, given: Fields = noFields): void {
    const exchange = this.#exchange;
    const { record, config, facts, context } = exchange;
    record.endsBy(row);
    const edits = responseEdits(exchange, this.mutations, noFields, undefined);
    const routed = edits?.added ?? noFields;
    const overload = overloadFields(row, config).filter(([name]) => edits?.dropped.has(name) !== true);
    const kept = given.length === 0 ? routed : routed.filter(([name]) => !given.some(([own]) => own === name));
    const toPeer = fieldsForPeer(row, config, facts.method, context.draining, this.#answer.peerAsked);
    const fields = [...given, ...overload, ...kept, ...this.addedFields, ...toPeer];
    const shaped = shapeReply(row, fields, config, facts.isGrpc, mutationContext(exchange, undefined));
    const reply = this.grpcWeb?.localReply(shaped) ?? shaped;
    const leaves = leavesClient(row, config);
    const { filters } = this;
    if (filters === undefined || filters.begun) this.#sendReply(reply, leaves);
    else filters.reply(reply, (shown) => this.#sendReply(shown, leaves));
  }

  #sendReply(reply: LocalReply, leaves: boolean): void {
    const { owner, request } = this.#exchange;
    const more = this.#answer.local(reply, request.complete && !leaves);
    this.#exchange.finish();
    owner.exchangeEnded(this.#answer.keepAlive, more, leaves);
  }

  #upstreamEdits(head: MessageHead): HeaderEdits | undefined {
    const { mutations, upstreamMutations: more } = this;
    const all = more.length === 0 ? mutations : [...mutations, ...more];
    return responseEdits(this.#exchange, all, this.addedFields, head);
  }
}
