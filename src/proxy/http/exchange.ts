import type { ByteStream } from "../../net/index.ts";
import { statusText, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";
import { decideCors, type CorsPolicy } from "../routing/cors.ts";
import { editHeaders, type HeaderEdits, type HeaderMutation } from "../routing/header-mutation.ts";
import { routeOf, withoutPort } from "../routing/route-table.ts";
import { chooseCluster, type ForwardAction, type Route } from "../routing/route.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import { Answer } from "./answer.ts";
import { Attempts, type AttemptsOwner } from "./attempts.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { composeRequest, type RequestComposition } from "./compose-request.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { OutgoingRequest } from "./outgoing-request.ts";
import { redirectLocation } from "./redirect-location.ts";
import { responseFlags, type ResponseFlag } from "./response-flags.ts";
import { Shadow } from "./shadow.ts";

/** The connection that an exchange answers on. */
export interface ExchangeOwner {
  readonly stream: ByteStream;
  pauseRequest(): void;
  resumeRequest(): void;
  /** The answer is complete; the connection goes on with the next request (`more`: at once, else after a drain), or closes. */
  exchangeEnded(keepAlive: boolean, more: boolean): void;
  /** Bytes moved: the idle limit starts anew. */
  touch(): void;
  /** From now on the client's bytes go to {@link Exchange.clientBytes}. */
  switchToTunnel(): void;
  /** The tunnel's other end has ended its side. */
  endTunnel(): void;
  /** Nothing sensible can follow on this connection. */
  abort(): void;
}

const mirrorHeadBytes = 2048;

/**
 * One request and its answer: chooses the route, has attempts made at endpoints, and carries bodies both ways with back
 * pressure. A connection has one exchange, which is used for its requests one after the other.
 */
export class Exchange implements AttemptsOwner, ExchangeRecord {
  readonly #owner: ExchangeOwner;
  readonly #context: ExchangeContext;
  readonly #request = new OutgoingRequest();
  readonly #facts: ExchangeRequest;
  readonly #attempts: Attempts;
  readonly #answer: Answer;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  #config: HttpConnectionConfig;
  #route: Route | undefined;
  #upgrade: string | undefined;
  #responseMutations: readonly HeaderMutation[] = [];
  #active = false;
  #tunnel = false;
  flag: ResponseFlag = responseFlags.none;
  details = "";
  receivedBytes = 0;
  startedMs = 0;
  durationMs = 0;
  #startedSteadyMs = 0;

  constructor(owner: ExchangeOwner, context: ExchangeContext) {
    this.#owner = owner;
    this.#context = context;
    this.#config = context.config();
    const { local, remote } = owner.stream;
    this.downstreamLocal = `${local.address}:${local.port}`;
    this.downstreamRemote = `${remote.address}:${remote.port}`;
    this.#facts = new ExchangeRequest(local, remote);
    this.#attempts = new Attempts(this, context, this.#facts, this.#request);
    this.#answer = new Answer(owner.stream, context, this.#facts);
  }

  get active(): boolean {
    return this.#active;
  }

  // ---- ExchangeRecord

  get method(): string {
    return this.#facts.method;
  }

  get pathAndQuery(): string {
    return this.#facts.pathAndQuery;
  }

  get protocol(): ExchangeRecord["protocol"] {
    return this.#facts.protocol;
  }

  get authority(): string {
    return this.#facts.authority;
  }

  get requestId(): string {
    return this.#facts.requestId;
  }

  get forwardedFor(): string {
    return this.#facts.forwardedFor;
  }

  get userAgent(): string {
    return this.#facts.userAgent;
  }

  get capturedRequest(): readonly string[] {
    return this.#facts.captured;
  }

  get status(): number {
    return this.#answer.status;
  }

  get sentBytes(): number {
    return this.#answer.sentBytes;
  }

  get upstreamServiceMs(): number {
    return this.#answer.upstreamServiceMs;
  }

  get grpcStatus(): string {
    return this.#answer.grpcStatus;
  }

  get capturedResponse(): readonly string[] {
    return this.#answer.captured;
  }

  get routeName(): string {
    return this.#route?.name ?? "";
  }

  get cluster(): Cluster | undefined {
    return this.#attempts.cluster;
  }

  get endpoint(): Endpoint | undefined {
    return this.#attempts.endpoint;
  }

  get upstreamLocal(): string {
    return this.#attempts.upstreamLocal;
  }

  get transportFailure(): string {
    return this.#attempts.transportFailure;
  }

  // ---- what the client does

  /** Begins with a scanned head and what came of the body; `complete` when that is all of it. */
  begin(head: MessageHead, keepAlive: boolean, bytes: Buffer, from: number, to: number, complete: boolean): void {
    this.#reset(head, keepAlive, complete);
    this.receivedBytes = to - from;
    const refusal = this.#facts.read(this.#config, this.#context.scheme, this.#context.newRequestId);
    if (refusal !== undefined) {
      this.#reply(refusal.status, refusal.body, refusal.status === 426 ? responseFlags.downstreamProtocolError : responseFlags.none, refusal.details);
      return;
    }
    const table = this.#context.routeTable();
    const host = table?.virtualHost(this.authority);
    if (host !== undefined && host.requireTls !== "none" && this.#facts.scheme === "http" && (host.requireTls === "all" || !this.#facts.internalPeer)) {
      this.#reply(301, "", responseFlags.none, "tls_required", [["location", `https://${withoutPort(this.authority)}${this.pathAndQuery}`]]);
      return;
    }
    const route = host === undefined ? undefined : routeOf(host, this.#facts);
    this.#route = route;
    if (route === undefined) {
      this.#reply(404, "", responseFlags.noRouteFound, "route_not_found");
      return;
    }
    this.#responseMutations = route.responseMutations;
    if (route.cors !== undefined && this.#answersByCors(route.cors)) return;
    const { action } = route;
    if (action.kind === "direct-response") this.#reply(action.status, action.body, responseFlags.none, "direct_response");
    else if (action.kind === "redirect") this.#reply(action.status, "", responseFlags.none, "direct_response", [["location", redirectLocation(action, this.#facts)]]);
    else this.#forward(route, action, bytes, from, to);
  }

  /** Refuses what never became a request. */
  refuse(status: number, reason: string): void {
    this.#reset(undefined, false, true);
    this.#reply(status, statusText(status), responseFlags.downstreamProtocolError, `http1.codec_error{${reason.replaceAll(" ", "_")}}`);
  }

  requestBody(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (!this.#active) return;
    this.receivedBytes += to - from;
    const { channel } = this.#attempts;
    const more = this.#request.body(bytes, from, to, complete, channel);
    if (complete) this.#attempts.requestComplete();
    else if (!more || channel === undefined) this.#owner.pauseRequest();
  }

  /** The client's bytes after a switch of protocols. */
  clientBytes(chunk: Buffer): void {
    const { channel } = this.#attempts;
    if (channel === undefined) return;
    this.receivedBytes += chunk.length;
    if (!channel.writeTunnel(chunk)) this.#owner.pauseRequest();
  }

  clientEnded(): void {
    this.#attempts.channel?.endTunnel();
  }

  /** The client takes bytes again. */
  clientDrained(): void {
    this.#attempts.resume();
  }

  /** The client has gone. */
  abandon(): void {
    if (!this.#active) return;
    if (!this.#tunnel) {
      this.flag = responseFlags.downstreamConnectionTermination;
      this.details = "downstream_remote_disconnect";
    }
    this.#attempts.drop();
    this.#finish();
  }

  /** The framing of the request's body is wrong: where it ends cannot be known. */
  badBody(): void {
    this.#failWith(400, "Bad Request", responseFlags.downstreamProtocolError, "http1.codec_error{bad_chunked_framing}");
  }

  /** No byte has moved for too long. */
  idleTimeout(): void {
    this.#failWith(this.#request.complete ? 504 : 408, "stream timeout", responseFlags.streamIdleTimeout, "stream_idle_timeout");
  }

  // ---- AttemptsOwner

  get answerStarted(): boolean {
    return this.#answer.started;
  }

  interimAnswer(head: MessageHead): void {
    if (head.status === 100 && this.#config.forwardContinue) this.#answer.sayContinue();
  }

  answered(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean, sentAtMs: number): void {
    this.details = "via_upstream";
    this.#afterSend(this.#answer.fromUpstream(head, framing, from, to, last, this.#responseEdits(head), sentAtMs), last);
  }

  answerBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    this.#afterSend(this.#answer.body(bytes, from, to, last), last);
  }

  switched(head: MessageHead, from: number, to: number, sentAtMs: number): void {
    this.#tunnel = true;
    this.details = "via_upstream";
    if (!this.#answer.switching(head, from, to, this.#responseEdits(head), sentAtMs)) this.#attempts.pause();
    this.#owner.switchToTunnel();
  }

  tunnelBytes(bytes: Buffer): void {
    this.#owner.touch();
    if (!this.#answer.raw(bytes)) this.#attempts.pause();
  }

  tunnelEnded(whole: boolean): void {
    if (!whole) {
      this.#owner.endTunnel();
      return;
    }
    this.#finish();
    this.#owner.exchangeEnded(false, true);
  }

  failed(status: number, text: string, flag: ResponseFlag, details: string): void {
    if (!this.#active) return;
    if (!this.#answer.started) {
      this.#reply(status, text, flag, details);
      return;
    }
    this.flag = flag;
    this.details = details;
    this.#finish();
    this.#owner.abort();
  }

  upstreamTakesMore(): void {
    this.#owner.resumeRequest();
  }

  // ---- the request's way

  #reset(head: MessageHead | undefined, keepAlive: boolean, complete: boolean): void {
    this.#config = this.#context.config();
    this.#facts.reset(head);
    this.#active = true;
    this.#tunnel = false;
    this.#answer.reset(this.#config, keepAlive);
    this.#request.reset(complete);
    this.#attempts.reset();
    this.#route = undefined;
    this.#upgrade = undefined;
    this.#responseMutations = [];
    this.flag = responseFlags.none;
    this.details = "";
    this.receivedBytes = 0;
    this.startedMs = this.#context.clock.nowMs();
    this.#startedSteadyMs = this.#context.clock.steadyMs();
  }

  /** Whether the policy answers the request itself; otherwise it may add to the answer. */
  #answersByCors(policy: CorsPolicy): boolean {
    const decision = decideCors(policy, this.#facts);
    if (decision === undefined) return false;
    if (decision.kind === "answer") {
      this.#reply(200, "", responseFlags.none, "cors_response", decision.fields);
      return true;
    }
    this.#responseMutations = [decision.mutation, ...this.#responseMutations];
    return false;
  }

  #forward(route: Route, action: ForwardAction, bytes: Buffer, from: number, to: number): void {
    const choice = chooseCluster(action.target, (name) => this.#facts.head.get(name), this.#context.random);
    const cluster = choice === undefined ? undefined : this.#context.cluster(choice.cluster);
    if (choice === undefined || cluster === undefined) {
      this.#reply(action.clusterNotFoundStatus, "", responseFlags.noClusterFound, "cluster_not_found");
      return;
    }
    this.#attempts.cluster = cluster;
    if (!this.#checkUpgrade(action)) return;
    if (choice.responseMutation !== undefined) this.#responseMutations = [choice.responseMutation, ...this.#responseMutations];
    const mutations = choice.requestMutation === undefined ? route.requestMutations : [choice.requestMutation, ...route.requestMutations];
    const edits = mutations.length === 0 ? undefined : this.#edit(mutations, this.#facts.head);
    const endpoint = this.#attempts.pick(cluster, action);
    if (endpoint === undefined) return;
    const host = edits?.added.find(([name]) => name === "host")?.[1] ?? choice.hostRewrite ?? action.rewriteHost ?? (action.autoHostRewrite ? endpoint.config.hostname : undefined);
    this.#request.compose(this.#composition(action, host ?? this.#facts.changedHost(), edits));
    this.#request.begin(bytes, from, to);
    if (action.mirrors.length > 0) this.#mirror(action, edits, bytes, from, to);
    if (this.#facts.head.expectsContinue && !this.#config.forwardContinue && !this.#request.complete) this.#answer.sayContinue();
    this.#attempts.attempt(endpoint, false);
    if (this.#active && this.#request.complete) this.#attempts.requestComplete();
  }

  /** Answers false when the upgrade was refused. h2c is not an upgrade that we take: the request goes on without it. */
  #checkUpgrade(action: ForwardAction): boolean {
    const { head } = this.#facts;
    if (head.upgradeField < 0 || !head.connectionUpgrade || this.protocol === "HTTP/1.0") return true;
    const protocol = head.value(head.upgradeField).toLowerCase();
    if (protocol.startsWith("h2c")) return true;
    if (!(action.upgrades.get(protocol) ?? this.#config.upgrades.has(protocol))) {
      this.#reply(403, "", responseFlags.none, "upgrade_failed");
      return false;
    }
    this.#upgrade = head.value(head.upgradeField);
    return true;
  }

  #edit(levels: readonly HeaderMutation[], head: MessageHead): HeaderEdits {
    const context = { request: this.#facts, downstreamRemote: this.downstreamRemote, downstreamLocal: this.downstreamLocal };
    return editHeaders(levels, context, (name) => head.find(name) >= 0);
  }

  #responseEdits(head: MessageHead): HeaderEdits | undefined {
    return this.#responseMutations.length === 0 ? undefined : this.#edit(this.#responseMutations, head);
  }

  #composition(action: ForwardAction, host: string | undefined, edits: HeaderEdits | undefined): RequestComposition {
    const facts = this.#facts;
    const path = action.rewritePath?.(facts.path) ?? facts.path;
    const rewritten = facts.targetDiffers || (path !== facts.path && !facts.isConnect);
    return {
      head: facts.head,
      config: this.#config,
      target: rewritten ? (facts.query === "" ? path : `${path}?${facts.query}`) : undefined,
      originalPath: path === facts.path ? undefined : facts.pathAndQuery,
      host,
      internalPeer: facts.internalPeer,
      peerAddress: facts.remote.address,
      scheme: facts.scheme,
      requestId: facts.requestId,
      requestIdIsNew: facts.requestIdIsNew,
      forwardedFor: facts.forwardedFor,
      upgrade: this.#upgrade,
      edits,
      attemptCount: action.includeAttemptCount,
    };
  }

  /** Sends copies to the mirrors of the route, as far as they can take them. */
  #mirror(action: ForwardAction, edits: HeaderEdits | undefined, bytes: Buffer, from: number, to: number): void {
    for (const mirror of action.mirrors) {
      const endpoint = this.#upgrade === undefined && this.#context.random() < mirror.fraction ? this.#context.cluster(mirror.cluster)?.pick(undefined, 1) : undefined;
      if (endpoint === undefined) continue;
      const { authority } = this.#facts;
      const name = withoutPort(authority);
      const head = new ByteBuilder(mirrorHeadBytes);
      composeRequest(head, this.#composition(action, mirror.keepHost ? authority : `${name}-shadow${authority.slice(name.length)}`, edits));
      const shadow = new Shadow(endpoint, head.view(), this.method === "HEAD", this.#context.clock);
      shadow.body(bytes, from, to, this.#request.complete);
      this.#request.addShadow(shadow);
    }
  }

  // ---- the answer

  #afterSend(more: boolean, last: boolean): void {
    this.#owner.touch();
    if (last) {
      this.#finish();
      this.#owner.exchangeEnded(this.#answer.keepAlive && this.#request.complete, more);
    } else if (!more) this.#attempts.pause();
  }

  /** Ends the exchange for a reason of ours: by an answer, or by closing when one has begun. */
  #failWith(status: number, text: string, flag: ResponseFlag, details: string): void {
    if (!this.#active) return;
    this.#attempts.drop();
    this.failed(status, text, flag, details);
  }

  #reply(status: number, body: string | Buffer, flag: ResponseFlag, details: string, fields: readonly (readonly [string, string])[] = []): void {
    this.flag = flag;
    this.details = details;
    const edits = this.#route?.action.kind === "forward" ? undefined : this.#responseEdits(this.#facts.head);
    const more = this.#answer.local({ status, body, fields: edits === undefined ? fields : [...fields, ...edits.added] }, this.#request.complete);
    this.#finish();
    this.#owner.exchangeEnded(this.#answer.keepAlive, more);
  }

  #finish(): void {
    this.#attempts.end();
    this.#request.end();
    this.#active = false;
    this.durationMs = this.#context.clock.steadyMs() - this.#startedSteadyMs;
    this.#context.observe(this);
  }
}
