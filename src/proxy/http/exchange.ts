import { userError } from "../../base/index.ts";
import { bodyFramings, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";
import type { LocalReply as FilterReply } from "../filters/http-filter.ts";
import { decideCors, type CorsPolicy } from "../routing/cors.ts";
import {
  editHeaders,
  type HeaderEdits,
  type HeaderMutation,
  type MutationContext,
} from "../routing/header-mutation.ts";
import { requestHash } from "../routing/hash-policy.ts";
import { routeOf, withoutPort } from "../routing/route-table.ts";
import { chooseCluster, type ForwardAction, type Route } from "../routing/route.ts";
import type { Cluster } from "../upstream/cluster.ts";
import type { ForwardNames } from "../upstream/forward-names.ts";
import type { ForwardDestination } from "./attempts.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { composeRequest, type RequestComposition } from "./compose-request.ts";
import type { ComposedAnswer } from "./filtered-answer.ts";
import { FilteredExchange } from "./filtered-exchange.ts";
import { forwardHost } from "./forward-host.ts";
import type { HeldBody } from "./held-body.ts";
import { shapeReply } from "./local-reply.ts";
import {
  codecErrorReply,
  directReply,
  endTable,
  filterReply,
  noClusterReply,
  replyTable,
  type ReplyRow,
} from "./reply-table.ts";
import { unreachedHeader } from "../peers/peer-metadata.ts";
import { redirectLocation } from "./redirect-location.ts";
import { isIdempotent } from "./retry-decision.ts";
import { flagLetters, responseFlags, type ResponseFlag } from "../terms/response-flags.ts";
import { Shadow } from "./shadow.ts";
import { bodyForm, exchangeLimitMs, responseTimeoutMs, tellsPeer, wireProtocol } from "./upstream-choice.ts";

const mirrorHeadBytes = 2048;
type Fields = readonly (readonly [name: string, value: string])[];

/**
 * One request and its response: chooses the route, runs the filters, makes attempts at endpoints, and relays bodies
 * both ways with back pressure. The object is reused for one request after the other.
 */
export class Exchange extends FilteredExchange {
  // ---- the client's side

  /** Begins with a scanned head and the received part of the body. `complete`: that is the whole body. */
  begin(head: MessageHead, keepAlive: boolean, bytes: Buffer, from: number, to: number, complete: boolean): void {
    this.reset(head, keepAlive, complete);
    this.receivedBytes = to - from;
    this.chunkedByClient = head.chunked && !this.facts.isHttp2;
    const refusal = this.facts.read(this.config, this.context.newRequestId);
    if (refusal !== undefined) {
      this.#reply(refusal);
      return;
    }
    this.trace = this.config.tracing?.start(this.facts, this.context.random);
    this.countsAnswer = this.facts.isGrpc && this.facts.isHttp2;
    if (this.config.peerMetadata.readFromClient) this.readDownstreamPeer();
    const host = this.virtualHost();
    if (
      host !== undefined &&
      host.requireTls !== "none" &&
      this.facts.forwardedProto !== "https" &&
      (host.requireTls === "all" || !this.facts.internalPeer)
    ) {
      this.#reply(replyTable.tlsRequired, [["location", `https://${withoutPort(this.authority)}${this.pathAndQuery}`]]);
      return;
    }
    this.route = host === undefined ? undefined : routeOf(host, this.facts);
    if (this.#passesFilters()) this.act(bytes, from, to);
    else this.filter(bytes, from, to);
  }

  /** Refuses what never became a request. */
  refuse(status: number, reason: string): void {
    this.reset(undefined, false, true);
    this.#reply(codecErrorReply(status, reason, this.facts.isHttp2));
  }

  requestBody(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (!this.active) return;
    this.receivedBytes += to - from;
    if (this.facts.isGrpc) this.countRequest(bytes, from, to);
    if (this.held !== undefined) {
      this.held.add(bytes, from, to, complete);
      this.request.complete = complete;
      if (!this.held.wanted) this.owner.pauseRequest();
      return;
    }
    if (this.streamedRequest(bytes, from, to, complete)) return;
    const more = this.passRequestBody(bytes, from, to, complete);
    if (!this.active) return;
    if (complete) this.attempts.requestComplete();
    else if (!more) this.owner.pauseRequest();
  }

  protected override passRequestBody(bytes: Buffer, from: number, to: number, complete: boolean): boolean {
    const { channel } = this.attempts;
    const more =
      this.grpcWeb?.changesRequest === true
        ? this.#webBody(bytes, from, to, complete)
        : this.request.body(bytes, from, to, complete, channel);
    return more && channel !== undefined;
  }

  /** Converts gRPC-Web text to data. */
  #webBody(bytes: Buffer, from: number, to: number, complete: boolean): boolean {
    const data = this.grpcWeb?.request(bytes, from, to, complete);
    if (data !== undefined) return this.request.body(data, 0, data.length, complete, this.attempts.channel);
    this.#failWith(replyTable.badBase64);
    return false;
  }

  /** The client's bytes after a switch of protocols. */
  clientBytes(chunk: Buffer): void {
    const { channel } = this.attempts;
    if (channel === undefined) return;
    this.receivedBytes += chunk.length;
    if (!channel.writeTunnel(chunk)) this.owner.pauseRequest();
  }

  clientEnded(): void {
    this.attempts.channel?.endTunnel();
  }

  /** The client has gone. */
  abandon(): void {
    if (!this.active) return;
    if (!this.tunnel) {
      this.flag = endTable.clientLeft.flag;
      this.details = endTable.clientLeft.details;
    }
    this.attempts.drop();
    this.finish();
  }

  /** The framing of the request's body is wrong: where it ends cannot be known. */
  badBody(): void {
    this.#failWith(replyTable.badChunks);
  }

  /** Must be called once a second while an exchange over HTTP/2 is open. */
  sweep(): void {
    if (this.active && this.facts.isGrpc) this.context.observeStream?.(this);
  }

  /** No byte has moved for too long. */
  idleTimeout(): void {
    this.#failWith(this.request.complete ? replyTable.idleResponse : replyTable.idleRequest);
  }

  // ---- AttemptsOwner

  interimAnswer(head: MessageHead): void {
    if (head.status === 100 && this.config.forwardContinue) this.sayContinue();
  }

  answered(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean, sentAtMs: number): void {
    this.details = endTable.answered.details;
    this.request.answerStarted();
    if (this.config.peerMetadata.readFromUpstream) this.readUpstreamPeer(head);
    if (this.countsAnswer) this.countAnswer(head.bytes, from, to);
    if (this.facts.answerPassesFilters && !this.answerPassed)
      this.streamAnswer({ head, framing, from, to, last, sentAtMs }, this.#responseEdits(head));
    else this.#sendAnswer(head, framing, from, to, last, sentAtMs, this.#responseEdits(head));
  }

  protected override sendFilteredAnswer(answer: ComposedAnswer, edits: HeaderEdits, sentAtMs: number): boolean {
    const { head, framing, from, to, last } = answer;
    return this.#sendAnswer(head, framing, from, to, last, sentAtMs, edits);
  }

  #sendAnswer(
    head: MessageHead,
    framing: BodyFraming,
    from: number,
    to: number,
    last: boolean,
    sentAtMs: number,
    given: HeaderEdits | undefined,
  ): boolean {
    const { grpcWeb } = this;
    const edits = grpcWeb === undefined ? given : grpcWeb.answer(head, given, last && from === to);
    if (grpcWeb?.translatesAnswer !== true || (last && from === to)) {
      // It came out of its chunks, in case that it was gRPC.
      const shown = grpcWeb !== undefined && framing === bodyFramings.chunked ? bodyFramings.untilClose : framing;
      return this.#afterSend(this.answer.fromUpstream(head, shown, from, to, last, edits, sentAtMs), last);
    }
    const more = this.answer.fromUpstream(head, bodyFramings.untilClose, from, from, false, edits, sentAtMs);
    return from === to ? this.#afterSend(more, false) : this.sendAnswerBody(head.bytes, from, to, last);
  }

  protected override sendAnswerBody(bytes: Buffer, from: number, to: number, last: boolean): boolean {
    const web = this.grpcWeb?.translatesAnswer === true ? this.grpcWeb.answerBody(bytes, from, to) : undefined;
    return this.#afterSend(
      web === undefined ? this.answer.body(bytes, from, to, last) : this.answer.body(web, 0, web.length, last),
      last,
    );
  }

  protected override sendAnswerTrailers(fields: readonly string[]): void {
    const web = this.grpcWeb?.translatesAnswer === true ? this.grpcWeb.answerTrailers(fields) : undefined;
    this.#afterSend(web === undefined ? this.answer.trailers(fields) : this.answer.trailersInBody(fields, web), true);
  }

  switched(head: MessageHead, from: number, to: number, sentAtMs: number): void {
    this.tunnel = true;
    this.details = endTable.answered.details;
    this.stopTimers();
    if (!this.answer.switching(head, from, to, this.#responseEdits(head), sentAtMs)) this.attempts.pause();
    this.owner.switchToTunnel();
  }

  tunnelBytes(bytes: Buffer): void {
    this.owner.touch();
    if (!this.answer.raw(bytes)) this.attempts.pause();
  }

  tunnelEnded(whole: boolean): void {
    if (!whole) {
      this.owner.endTunnel();
      return;
    }
    this.finish();
    this.owner.exchangeEnded(false, true);
  }

  failed(reply: ReplyRow): void {
    if (!this.active) return;
    if (!this.answer.started) {
      this.#reply(reply);
      return;
    }
    this.flag = reply.flag;
    this.details = reply.details;
    this.finish();
    this.owner.abort();
  }

  protected override sayContinue(): void {
    if (this.saidContinue) return;
    this.saidContinue = true;
    this.answer.sayContinue();
  }

  // ---- the request's way

  /** No filter has anything to do with the request: most listeners have filters only for routes that configure them. */
  #passesFilters(): boolean {
    const { filters, filtersIdle } = this.config;
    return filters.length === 0 || (filtersIdle && (this.route === undefined || this.route.filterConfigs.size === 0));
  }

  protected override answerOfFilter(reply: FilterReply): void {
    this.#reply(filterReply(reply), reply.headers);
  }

  protected override act(bytes: Buffer, from: number, to: number): void {
    const { route } = this;
    if (route === undefined) {
      this.#reply(replyTable.noRoute);
      return;
    }
    this.responseMutations = route.responseMutations;
    if (route.cors !== undefined && this.#answersByCors(route.cors)) return;
    const { action } = route;
    if (action.kind === "direct-response") this.#reply(directReply(action.status, action.body));
    else if (action.kind === "redirect")
      this.#reply(directReply(action.status, ""), [["location", redirectLocation(action, this.facts)]]);
    else this.#forward(route, action, bytes, from, to);
  }

  /** Returns whether the CORS policy answers the request itself. Otherwise it may add headers to the response. */
  #answersByCors(policy: CorsPolicy): boolean {
    const decision = decideCors(policy, this.facts);
    if (decision === undefined) return false;
    if (decision.kind === "answer") {
      this.#reply(replyTable.corsAnswer, decision.fields);
      return true;
    }
    this.responseMutations = [decision.mutation, ...this.responseMutations];
    return false;
  }

  #forward(route: Route, action: ForwardAction, bytes: Buffer, from: number, to: number): void {
    const { facts, attempts } = this;
    const choice = chooseCluster(action.target, (name) => facts.head.get(name), this.context.random);
    const cluster = choice === undefined ? undefined : this.context.cluster(choice.cluster);
    if (choice === undefined || cluster === undefined) {
      this.#reply(noClusterReply(action.clusterNotFoundStatus));
      return;
    }
    attempts.cluster = cluster;
    const first = cluster.firstEndpoints();
    if (first !== undefined) {
      this.#forwardAfter(first, route, action, this.hold(bytes, from, to));
      return;
    }
    const { names } = cluster;
    const send = (destination: ForwardDestination | undefined, body: Buffer, start: number, end: number): void =>
      this.#send(route, action, { ...choice, to: cluster, destination }, body, start, end);
    if (names === undefined) send(undefined, bytes, from, to);
    else this.#lookUp(names, send, bytes, from, to);
  }

  /** Chooses again then, because another cluster of the name may have arrived. */
  #forwardAfter(first: Promise<void>, route: Route, action: ForwardAction, held: HeldBody): void {
    void first.then(() => {
      if (this.active && this.held === held) this.letGo((body) => this.#forward(route, action, body, 0, body.length));
    });
  }

  /** The requested name decides where the request goes. */
  #lookUp(
    names: ForwardNames,
    send: (destination: ForwardDestination, body: Buffer, start: number, end: number) => void,
    bytes: Buffer,
    from: number,
    to: number,
  ): void {
    const host = forwardHost(this.authority, names.rules.defaultPort);
    const found =
      host === undefined
        ? Promise.reject(userError("bad-request", "the request names no host"))
        : names.addressOf(host.name);
    const at = (address: string): ForwardDestination => ({
      address,
      port: host?.port ?? 0,
      hostname: host?.name ?? "",
    });
    if (typeof found === "string") {
      send(at(found), bytes, from, to);
      return;
    }
    this.hold(bytes, from, to);
    const { held } = this;
    const still = (run: () => void): void => {
      if (this.active && this.held === held) run();
    };
    found.then(
      (address) => still(() => this.letGo((body) => send(at(address), body, 0, body.length))),
      () => still(() => this.#reply(replyTable.nameNotFound)),
    );
  }

  #send(route: Route, action: ForwardAction, choice: Forwarding, bytes: Buffer, from: number, to: number): void {
    const { facts, attempts, request } = this;
    const { to: cluster, destination } = choice;
    const protocol = this.#checkUpgrade(action) ? wireProtocol(cluster, facts, this.upgrade !== undefined) : undefined;
    if (protocol === undefined) {
      this.#reply(replyTable.upgradeRefused);
      return;
    }
    attempts.target(
      cluster,
      action,
      protocol,
      responseTimeoutMs(action, facts),
      this.#hash(cluster, action),
      destination,
    );
    this.limitDuration(exchangeLimitMs(action, this.config, facts), () => this.#failWith(replyTable.durationTimeout));
    if (choice.responseMutation !== undefined)
      this.responseMutations = [choice.responseMutation, ...this.responseMutations];
    const mutations =
      choice.requestMutation === undefined
        ? route.requestMutations
        : [choice.requestMutation, ...route.requestMutations];
    const edits = mutations.length === 0 ? undefined : this.#edit(mutations, facts.head);
    const endpoint = attempts.pick();
    if (endpoint === undefined) return;
    // Header values of the response that refer to the request must outlive this read.
    if (this.responseMutations.length > 0 || this.config.localReplies.length > 0) facts.detach();
    const host =
      edits?.added.find(([name]) => name === "host")?.[1] ??
      choice.hostRewrite ??
      action.rewriteHost ??
      (action.autoHostRewrite ? endpoint.config.hostname : undefined);
    const { complete } = request;
    const mirrored =
      action.mirrors.length > 0 && action.mirrors.some((mirror) => this.#mirrorProtocol(mirror.cluster) !== "http1");
    if (this.trace?.upstreamSpanId !== undefined) this.trace.forwardedMs = this.context.clock.nowMs();
    const streamed = this.bodyPassesFilters(from, to);
    request.compose(
      this.#composition(action, cluster, host ?? facts.changedHost(), edits),
      this.grpcWeb?.changesRequest === true || (streamed && facts.head.chunked)
        ? "plain"
        : bodyForm(facts, protocol, mirrored),
    );
    if (action.mirrors.length > 0) this.#mirror(action, edits);
    if (streamed) this.streamRequest(bytes, from, to, complete);
    else if (this.grpcWeb?.changesRequest !== true) request.body(bytes, from, to, complete, undefined);
    else if (!this.#webBody(bytes, from, to, complete)) return;
    if (facts.head.expectsContinue && !this.config.forwardContinue && !complete) this.sayContinue();
    if (!this.active) return;
    attempts.attempt(endpoint, false);
    if (this.active && request.complete) attempts.requestComplete();
  }

  /**
   * The request's hash, if its cluster chooses endpoints by it. A cookie that was created for it is set on the
   * response.
   */
  #hash(cluster: Cluster, action: ForwardAction): number | undefined {
    if (!cluster.choosesByHash || action.hashPolicies.length === 0) return undefined;
    const hash = requestHash(
      action.hashPolicies,
      this.facts,
      this.facts.clientAddress(this.config),
      `${this.downstreamRemote} ${this.downstreamLocal}`,
    );
    const cookie = hash?.setCookie;
    if (cookie !== undefined) {
      const add = [
        { name: "set-cookie", value: () => cookie, action: "append-if-exists-or-add", keepEmptyValue: true },
      ] as const;
      this.responseMutations = [...this.responseMutations, { add, remove: [] }];
    }
    return hash?.value;
  }

  /** Returns false if the upgrade is refused. h2c is not treated as an upgrade, so the request continues without it. */
  #checkUpgrade(action: ForwardAction): boolean {
    const { head } = this.facts;
    if (head.upgradeField < 0 || !head.connectionUpgrade || this.protocol !== "HTTP/1.1") return true;
    const protocol = head.value(head.upgradeField).toLowerCase();
    if (protocol.startsWith("h2c")) return true;
    if (!(action.upgrades.get(protocol) ?? this.config.upgrades.has(protocol))) return false;
    this.upgrade = head.value(head.upgradeField);
    return true;
  }

  /** `response`: the upstream's head, if response headers are edited. */
  #mutationContext(response: MessageHead | undefined): MutationContext {
    return {
      request: this.facts,
      connection: this.connection,
      clientAddress: () => this.facts.clientAddress(this.config),
      startedMs: this.startedMs,
      routeName: this.routeName,
      cluster: this.attempts.cluster?.name ?? "",
      upstreamHost: this.attempts.endpoint?.name ?? "",
      status: response?.status ?? this.status,
      flags: () => flagLetters(this.flag),
      response,
      metadata: this.pass?.metadata,
    };
  }

  #edit(levels: readonly HeaderMutation[], head: MessageHead): HeaderEdits {
    return editHeaders(
      levels,
      this.#mutationContext(head === this.facts.head ? undefined : head),
      (name) => head.find(name) >= 0,
    );
  }

  #responseEdits(head: MessageHead): HeaderEdits | undefined {
    const added = this.pass?.answerFields ?? [];
    if (this.responseMutations.length === 0) return added.length === 0 ? undefined : { dropped: noNames, added };
    const edits = this.#edit(this.responseMutations, head);
    return added.length === 0 ? edits : { dropped: edits.dropped, added: [...edits.added, ...added] };
  }

  #composition(
    action: ForwardAction,
    cluster: Cluster,
    host: string | undefined,
    edits: HeaderEdits | undefined,
  ): RequestComposition {
    const { facts, config } = this;
    const path = action.rewritePath?.(facts.path) ?? facts.path;
    const rewritten = facts.targetDiffers || (path !== facts.path && !facts.isConnect);
    return {
      head: facts.head,
      config,
      target: rewritten ? (facts.query === "" ? path : `${path}?${facts.query}`) : undefined,
      originalPath: path === facts.path ? undefined : facts.pathAndQuery,
      host,
      internalPeer: facts.internalPeer,
      peerAddress: facts.remote.address,
      scheme: facts.scheme,
      requestId: facts.requestId,
      requestIdIsNew: facts.requestIdIsNew,
      trace: this.trace,
      forwardedFor: facts.forwardedFor,
      clientCertificate: facts.clientCertificate(config),
      peerMetadata: tellsPeer(config.peerMetadata, cluster) ? this.context.ownMetadata : undefined,
      upgrade: this.upgrade,
      edits,
      attemptCount: action.includeAttemptCount,
    };
  }

  #mirrorProtocol(name: string): ReturnType<typeof wireProtocol> {
    const cluster = this.context.cluster(name);
    return cluster === undefined ? "http1" : wireProtocol(cluster, this.facts, false);
  }

  /** Sends copies to the mirrors of the route, as far as they can take them. */
  #mirror(action: ForwardAction, edits: HeaderEdits | undefined): void {
    for (const mirror of action.mirrors) {
      const protocol = this.#mirrorProtocol(mirror.cluster);
      const wanted = this.upgrade === undefined && protocol !== undefined && this.context.random() < mirror.fraction;
      const endpoint = wanted ? this.context.cluster(mirror.cluster)?.pick(undefined, 1) : undefined;
      if (endpoint === undefined || protocol === undefined) continue;
      const { authority } = this.facts;
      const name = withoutPort(authority);
      const head = new ByteBuilder(mirrorHeadBytes);
      composeRequest(
        head,
        this.#composition(
          action,
          endpoint.cluster,
          mirror.keepHost ? authority : `${name}-shadow${authority.slice(name.length)}`,
          edits,
        ),
      );
      const { chunksRequest } = this.request;
      const { scheme } = this.facts;
      this.request.addShadow(
        new Shadow({
          endpoint,
          head: head.view(),
          toHead: this.method === "HEAD",
          chunksRequest,
          scheme,
          protocol,
          clock: this.context.clock,
        }),
      );
    }
  }

  // ---- the answer

  #afterSend(more: boolean, last: boolean): boolean {
    this.owner.touch();
    if (last) {
      if (!this.request.complete && this.attempts.upstreamProtocol === "http1") this.owner.upstreamLost();
      this.finish();
      this.owner.exchangeEnded(this.answer.keepAlive && this.request.complete, more);
    } else if (!more) this.attempts.pause();
    return more;
  }

  /** Ends the exchange for a reason of ours: by an answer, or by closing when one has begun. */
  #failWith(reply: ReplyRow): void {
    if (!this.active) return;
    this.attempts.drop();
    this.failed(reply);
  }

  #reply(row: ReplyRow, given: Fields = []): void {
    const { flag, details } = row;
    this.flag = flag;
    this.details = details;
    const edits = this.route?.action.kind === "forward" ? undefined : this.#responseEdits(this.facts.head);
    const added = edits === undefined ? (this.pass?.answerFields ?? []) : edits.added;
    const fields = [...given, ...added, ...this.#toldToPeer(flag)];
    // The application behind this proxy has ended, so close the client's connection. Otherwise the client would use it
    // again.
    const leaves = flag === responseFlags.upstreamConnectionFailure && this.config.peerMetadata.writeToClient;
    const reply = this.#inForm(
      shapeReply(row, fields, this.config, this.facts.isGrpc, this.#mutationContext(undefined)),
    );
    this.replyThroughFilters(reply, (shown) => this.#sendReply(shown, leaves));
  }

  #sendReply(reply: ReturnType<typeof shapeReply>, leaves: boolean): void {
    const more = this.answer.local(reply, this.request.complete && !leaves);
    this.finish();
    this.owner.exchangeEnded(this.answer.keepAlive, more, leaves);
  }

  /** An answer of ours in gRPC's form is one head, which clients of gRPC-Web take under their own name of it. */
  #inForm(reply: ReturnType<typeof shapeReply>): ReturnType<typeof shapeReply> {
    const { grpcWeb } = this;
    return grpcWeb === undefined
      ? reply
      : {
          ...reply,
          fields: reply.fields.map(([name, value]) =>
            name === "content-type" ? [name, grpcWeb.contentType] : [name, value],
          ),
        };
  }

  /**
   * A peer proxy may try another endpoint: the application has not seen the request, or it has ended and the request
   * may be sent twice.
   */
  #toldToPeer(flag: ResponseFlag): Fields {
    const brokeOff =
      flag === responseFlags.upstreamConnectionTermination && this.context.draining && isIdempotent(this.method);
    return (brokeOff || flag === responseFlags.upstreamConnectionFailure) &&
      this.answer.peerAsked &&
      this.config.peerMetadata.writeToClient
      ? [[unreachedHeader, "true"]]
      : [];
  }
}

/** A cluster that was chosen for a request, with what its choice changes of it. */
interface Forwarding extends NonNullable<ReturnType<typeof chooseCluster>> {
  readonly to: Cluster;
  readonly destination: ForwardDestination | undefined;
}

const noNames: ReadonlySet<string> = new Set();
