import { contained, containing } from "../../base/index.ts";
import type { MessageHead } from "../../wire/http1/index.ts";
import type { LocalReply as FilterReply } from "../filters/http-filter.ts";
import { decodePeerMetadata, peerMetadataHeader } from "../peers/peer-metadata.ts";
import { decideCors, type CorsPolicy } from "../routing/cors.ts";
import type { HeaderMutation } from "../routing/header-mutation.ts";
import { routeOf, withoutPort } from "../routing/route-table.ts";
import type { Route } from "../routing/route.ts";
import { permittedTrailers } from "../terms/trailers.ts";
import type { WireProtocol } from "../upstream/pool-user.ts";
import type { UpstreamAnswer } from "./answer.ts";
import { AnswerFilters } from "./answer-filters.ts";
import { Attempts, type AttemptsOwner } from "./attempts.ts";
import { ClientAnswer, type AnsweredExchange } from "./client-answer.ts";
import { ContainedOwner } from "./contained-owner.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeOwner } from "./exchange-owner.ts";
import { ExchangeRequest } from "./exchange-request.ts";
import type { FilterVerdict } from "./filter-pass.ts";
import { Forwarding, type ForwardedExchange } from "./forwarding.ts";
import { GrpcWebTranslation } from "./grpc-web.ts";
import { ExchangeBodies } from "./bodies/held-bodies.ts";
import { HeldBody } from "./bodies/held-body.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { LiveRecord } from "./live-record.ts";
import { OutgoingRequest, type RequestBodyForm } from "./outgoing-request.ts";
import { redirectLocation } from "./redirect-location.ts";
import { codecErrorReply, directReply, endTable, filterReply, replyTable, type ReplyRow } from "./reply-table.ts";
import { RequestFilters, type FilteredExchange } from "./request-filters.ts";
import { bodyForm } from "./upstream-choice.ts";

const noBytes = Buffer.alloc(0);
const noMutations: readonly HeaderMutation[] = [];

/**
 * One request and its response. The exchange chooses the route, runs the filters, makes attempts at endpoints, and
 * relays bodies both ways with back pressure.
 *
 * Each request has its own exchange with its own parts, so that no state can survive into the next request of a
 * connection. Only memory is reused ({@link ExchangeMemory}).
 */
export class Exchange implements AttemptsOwner, FilteredExchange, AnsweredExchange, ForwardedExchange {
  readonly owner: ExchangeOwner;
  readonly context: ExchangeContext;
  readonly config: HttpConnectionConfig;
  readonly facts: ExchangeRequest;
  readonly request: OutgoingRequest;
  readonly attempts: Attempts;
  readonly answer: ClientAnswer;
  readonly record: LiveRecord;
  active = true;
  chunkedByClient: boolean;
  /** The part of the request's body that has arrived while the exchange waits for a filter or for DNS. */
  held: HeldBody | undefined;
  heldTrailers: readonly string[] | undefined;
  /** Counts the bytes of both bodies that filters hold. Undefined until they hold some. */
  #bodies: ExchangeBodies | undefined;
  /** The filters that process the request. Undefined if there are none. */
  #filters: RequestFilters | undefined;
  #grpcWeb: GrpcWebTranslation | undefined;
  #tunnel = false;
  #durationTimer: Disposable | undefined;

  /**
   * `head` is a scanned head, or undefined for bytes that are not a valid request. `keepAlive` says whether the client
   * wants to use the connection again. `complete` says whether the request has no body, or all of its body has arrived.
   */
  constructor(owner: ExchangeOwner, head: MessageHead | undefined, keepAlive: boolean, complete: boolean) {
    const { context, memory } = owner;
    this.owner = owner;
    this.context = context;
    this.config = context.config();
    this.facts = new ExchangeRequest(owner.info, owner.isHttp2, head, memory);
    this.request = new OutgoingRequest(memory, complete);
    this.attempts = new Attempts(new ContainedOwner(this), context, this.facts, this.request);
    const answer = owner.createAnswer(this.config, this.facts, keepAlive);
    this.answer = new ClientAnswer(this, answer);
    this.record = new LiveRecord(context, this.facts, this.attempts, answer);
    this.chunkedByClient = head?.chunked === true && !owner.isHttp2;
  }

  /** The idle time after which the exchange ends. 0 means no limit. */
  get idleLimitMs(): number {
    const action = this.record.route?.action;
    return (action?.kind === "forward" ? action.idleTimeoutMs : undefined) ?? this.config.streamIdleTimeoutMs;
  }

  // ---- the client's side

  begin(bytes: Buffer, from: number, to: number): void {
    try {
      this.#start(bytes, from, to);
    } catch (error) {
      this.faulted(error);
    }
  }

  #start(bytes: Buffer, from: number, to: number): void {
    const { facts, config, record, context } = this;
    record.receivedBytes = to - from;
    const refusal = facts.read(config, context.newRequestId);
    if (refusal !== undefined) {
      this.answer.reply(refusal);
      return;
    }
    record.trace = config.tracing?.start(facts, context.random);
    if (config.peerMetadata.readFromClient) {
      const peer = facts.head.get(peerMetadataHeader);
      if (peer !== undefined) {
        this.answer.peerAsked();
        record.downstreamPeer = decodePeerMetadata(peer, config.peerMetadata.labelNames) ?? record.downstreamPeer;
      }
    }
    const host = context.routeTable()?.virtualHost(facts.authority);
    if (
      host !== undefined &&
      host.requireTls !== "none" &&
      facts.forwardedProto !== "https" &&
      (host.requireTls === "all" || !facts.internalPeer)
    ) {
      const location = `https://${withoutPort(facts.authority)}${facts.pathAndQuery}`;
      this.answer.reply(replyTable.tlsRequired, [["location", location]]);
      return;
    }
    record.route = host === undefined ? undefined : routeOf(host, facts);
    if (this.#skipsFilters()) this.#act(bytes, from, to);
    else {
      this.answer.mutations = mutationsBeforeAction(record.route);
      this.#filters = new RequestFilters(this, bytes, from, to);
      record.filterMetadata = this.#filters.pass.metadata;
      this.answer.addedFields = this.#filters.pass.answerFields;
      this.#filters.run(bytes, from, to);
    }
  }

  refuse(status: number, reason: string): void {
    this.answer.reply(codecErrorReply(status, reason, this.facts.isHttp2));
  }

  requestBody(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (!this.active) return;
    this.record.receivedBytes += to - from;
    if (this.facts.isGrpc) this.record.countRequest(bytes, from, to);
    if (this.held !== undefined) {
      this.held.add(bytes, from, to, complete);
      this.request.complete = complete;
      if (!this.held.wanted) this.owner.pauseRequest();
      return;
    }
    if (this.#filters?.more(bytes, from, to, complete) === true) return;
    const more = this.passRequestBody(bytes, from, to, complete);
    if (!this.active) return;
    if (complete) this.attempts.requestComplete();
    else if (!more) this.owner.pauseRequest();
  }

  /** Called at the end of the request, with its trailers. */
  requestTrailers(fields: readonly string[]): void {
    if (!this.active) return;
    const trailers = permittedTrailers(fields);
    if (this.held !== undefined) {
      this.heldTrailers = trailers;
      this.request.complete = true;
      this.held.end();
      return;
    }
    if (this.#filters?.end(trailers) !== true) this.endRequest(trailers);
  }

  /** Takes the client's bytes after a switch of protocols. */
  clientBytes(chunk: Buffer): void {
    const { channel } = this.attempts;
    if (channel === undefined) return;
    this.record.receivedBytes += chunk.length;
    if (!channel.writeTunnel(chunk)) this.owner.pauseRequest();
  }

  clientEnded(): void {
    this.attempts.channel?.endTunnel();
  }

  clientDrained(): void {
    if (this.answer.filters?.clientDrained() !== false) this.attempts.resume();
  }

  abandon(): void {
    if (!this.active) return;
    if (!this.#tunnel) this.record.endsBy(endTable.clientLeft);
    this.attempts.drop();
    this.finish();
  }

  /** Called when the framing of the request's body is invalid, so that its end cannot be known. */
  badBody(): void {
    this.fail(replyTable.badChunks);
  }

  /** Reports the messages of an open gRPC stream. Must be called once a second for an exchange over HTTP/2. */
  sweep(): void {
    if (this.active && this.facts.isGrpc) this.context.observeStream?.(this.record);
  }

  /** Ends the exchange, because no byte has moved for too long. */
  idleTimeout(): void {
    this.fail(this.request.complete ? replyTable.idleResponse : replyTable.idleRequest);
  }

  // ---- the request's way

  /**
   * Whether no filter has anything to do with the request. Most listeners only have filters that act on routes which
   * configure them.
   */
  #skipsFilters(): boolean {
    const { filters, filtersIdle } = this.config;
    const { route } = this.record;
    return filters.length === 0 || (filtersIdle && (route === undefined || route.filterConfigs.size === 0));
  }

  filtered(filters: RequestFilters, verdict: FilterVerdict, bytes: Buffer, from: number, to: number): void {
    const { facts, record } = this;
    const { pass, answerSteps } = filters;
    record.route = pass.route;
    this.answer.mutations = mutationsBeforeAction(pass.route);
    if (answerSteps.length > 0) {
      this.answer.filters = new AnswerFilters(this, this.answer, pass, answerSteps);
      facts.answerPassesFilters = true;
    }
    const { newBody } = pass;
    if (verdict === "pass" && newBody !== undefined) this.chunkedByClient = false;
    if (pass.grpcWeb !== undefined) {
      this.#grpcWeb = new GrpcWebTranslation(pass.grpcWeb, this.chunkedByClient && !filters.takesBody);
      this.answer.grpcWeb = this.#grpcWeb;
      facts.isGrpc = true;
      facts.isGrpcWeb = true;
    }
    if (verdict !== "pass") this.answer.reply(filterReply(verdict), verdict.headers);
    else if (newBody === undefined) this.#act(bytes, from, to);
    else this.#act(newBody, 0, newBody.length);
  }

  stoppedByFilter(reply: FilterReply | undefined): void {
    if (!this.active) return;
    this.attempts.drop();
    if (reply !== undefined && !this.answer.isSent) {
      this.answer.reply(filterReply(reply), reply.headers);
      return;
    }
    this.record.details = reply?.details ?? endTable.filterEnded.details;
    this.finish();
    this.owner.abort();
  }

  filterFailed(error: unknown): void {
    this.context.onTrouble?.("a filter failed", error);
    this.fail(replyTable.filterFailed);
  }

  #act(bytes: Buffer, from: number, to: number): void {
    const { route } = this.record;
    if (route === undefined) {
      this.answer.reply(replyTable.noRoute);
      return;
    }
    this.answer.mutations = route.responseMutations;
    if (route.cors !== undefined && this.#answersByCors(route.cors)) return;
    const { action } = route;
    if (action.kind === "forward") new Forwarding(this, route, action).start(bytes, from, to);
    else if (action.kind === "direct-response") this.answer.reply(directReply(action.status, action.body));
    else this.answer.reply(directReply(action.status, ""), [["location", redirectLocation(action, this.facts)]]);
  }

  /**
   * Applies the CORS policy. Returns whether the policy answers the request itself. Otherwise it may add headers to the
   * response. As in Envoy, these replace the headers of the route, because a browser refuses a response with two
   * `access-control-allow-origin` headers.
   */
  #answersByCors(policy: CorsPolicy): boolean {
    const decision = decideCors(policy, this.facts);
    if (decision === undefined) return false;
    if (decision.kind === "answer") {
      this.answer.mutations = noMutations;
      this.answer.reply(replyTable.corsAnswer, decision.fields);
      return true;
    }
    this.answer.mutations = [...this.answer.mutations, decision.mutation];
    return false;
  }

  hold(bytes: Buffer, from: number, to: number): HeldBody {
    if (this.held !== undefined) return this.held;
    this.facts.detach();
    const held = new HeldBody(this.chunkedByClient, (difference) => this.bodyHeld(difference));
    held.add(bytes, from, to, this.request.complete);
    this.held = held;
    return held;
  }

  bodyHeld(difference: number): void {
    if (!this.active) return;
    this.#bodies ??= new ExchangeBodies(this.facts.connection.remote.address, () => this.fail(replyTable.tooMuchHeld));
    this.#bodies.changed(difference);
  }

  letGo(goOn: (body: Buffer) => void): void {
    const body = this.held?.bytes() ?? noBytes;
    this.held?.release();
    this.held = undefined;
    const trailers = this.heldTrailers;
    this.heldTrailers = undefined;
    if (trailers !== undefined) this.request.complete = false;
    goOn(body);
    if (this.active && trailers !== undefined) this.requestTrailers(trailers);
  }

  // ---- the request's body

  bodyForm(protocol: WireProtocol, otherMirrors: boolean, from: number, to: number): RequestBodyForm {
    const { facts } = this;
    if (this.#grpcWeb?.changesRequest === true || (facts.head.chunked && this.#filtersTakeBody(from, to)))
      return "plain";
    return bodyForm(facts, protocol, otherMirrors);
  }

  startBody(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (this.#filtersTakeBody(from, to)) this.#filters?.begin(bytes, from, to, complete);
    else if (this.#grpcWeb?.changesRequest === true) this.#webBody(bytes, from, to, complete);
    else this.request.body(bytes, from, to, complete, undefined);
    if (this.active && !complete && this.facts.head.expectsContinue && !this.config.forwardContinue)
      this.answer.sayContinue();
  }

  /** Whether the body that begins with these bytes passes filters. */
  #filtersTakeBody(from: number, to: number): boolean {
    return this.#filters?.takesBody === true && !(this.request.complete && from === to);
  }

  passRequestBody(bytes: Buffer, from: number, to: number, complete: boolean): boolean {
    const { channel } = this.attempts;
    const more =
      this.#grpcWeb?.changesRequest === true
        ? this.#webBody(bytes, from, to, complete)
        : this.request.body(bytes, from, to, complete, channel);
    return more && channel !== undefined;
  }

  #webBody(bytes: Buffer, from: number, to: number, complete: boolean): boolean {
    const data = this.#grpcWeb?.request(bytes, from, to, complete);
    if (data !== undefined) return this.request.body(data, 0, data.length, complete, this.attempts.channel);
    this.fail(replyTable.badBase64);
    return false;
  }

  endRequest(trailers: readonly string[]): void {
    this.request.trailers(trailers, this.attempts.channel);
    this.attempts.requestComplete();
  }

  limitDuration(limitMs: number): void {
    if (limitMs <= 0) return;
    const { clock } = this.context;
    const leftMs = Math.max(0, limitMs - (clock.steadyMs() - this.record.startedSteadyMs));
    this.#durationTimer = clock.after(leftMs, () => this.fail(replyTable.durationTimeout));
  }

  // ---- AttemptsOwner

  get answerStarted(): boolean {
    return this.answer.begun;
  }

  interimAnswer(head: MessageHead): void {
    if (head.status === 100 && this.config.forwardContinue) this.answer.sayContinue();
  }

  answered(upstream: UpstreamAnswer): void {
    this.request.answerStarted();
    this.answer.head(upstream);
  }

  answerBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.answer.body(bytes, from, to, last);
  }

  answerTrailers(received: readonly string[]): void {
    this.answer.trailers(received);
  }

  switched(head: MessageHead, from: number, to: number, sentAtMs: number): void {
    this.#tunnel = true;
    this.answer.switching(head, from, to, sentAtMs);
    this.owner.switchToTunnel();
  }

  tunnelBytes(bytes: Buffer): void {
    this.owner.touch();
    this.answer.tunnelBytes(bytes);
  }

  tunnelEnded(isComplete: boolean): void {
    if (!isComplete) {
      this.owner.endTunnel();
      return;
    }
    this.finish();
    this.owner.exchangeEnded(false, true);
  }

  failed(reply: ReplyRow): void {
    if (!this.active) return;
    if (!this.answer.isSent) {
      this.answer.reply(reply);
      return;
    }
    this.record.endsBy(reply);
    this.finish();
    this.owner.abort();
  }

  upstreamTakesMore(): void {
    if (this.#filters?.upstreamTakesMore() !== false) this.owner.resumeRequest();
  }

  // ---- the end

  fail(cause: ReplyRow): void {
    if (!this.active) return;
    this.attempts.drop();
    this.failed(cause);
  }

  /** Ends the exchange after an error of its own code, if possible with a response. */
  faulted(error: unknown): void {
    contained(error);
    if (this.active) {
      containing(() => this.fail(replyTable.internalError));
      if (!this.active) return;
      containing(() => this.finish());
      this.active = false;
    }
    containing(() => this.owner.abort());
  }

  finish(): void {
    const { record, context } = this;
    const filters = this.#filters;
    this.held = undefined;
    this.#bodies?.release();
    filters?.cancel();
    this.answer.filters?.cancel();
    this.#stopTimer();
    this.attempts.end();
    this.request.end();
    this.active = false;
    record.end(context.clock.steadyMs());
    context.observe(record);
    // Keep the memory if there are filters: a filter that waits may still read the request.
    if (filters === undefined) this.facts.giveMemoryBack();
    else filters.pass.abort();
  }

  #stopTimer(): void {
    this.#durationTimer?.[Symbol.dispose]();
    this.#durationTimer = undefined;
  }
}

/**
 * The header changes of a reply that is sent before the route's action runs, for example by a filter. As in Envoy, they
 * exist only for a route that forwards.
 */
function mutationsBeforeAction(route: Route | undefined): readonly HeaderMutation[] {
  return route?.action.kind === "forward" ? route.responseMutations : noMutations;
}
