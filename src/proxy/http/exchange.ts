import type { ByteStream } from "../../net/index.ts";
import { statusText, type BodyFraming, type MessageHead } from "../../wire/http1/index.ts";
import { decideCors, type CorsPolicy } from "../routing/cors.ts";
import { editHeaders, type HeaderEdits, type HeaderMutation } from "../routing/header-mutation.ts";
import { routeOf, withoutPort } from "../routing/route-table.ts";
import { chooseCluster, type DirectResponseAction, type ForwardAction, type RedirectAction, type Route } from "../routing/route.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { ConnectFailure, PoolUser } from "../upstream/connection-pool.ts";
import type { ResponseReceiver, UpstreamConnection, UpstreamFailure } from "../upstream/upstream-connection.ts";
import { Answer } from "./answer.ts";
import { ByteBuilder } from "./byte-builder.ts";
import { composeRequest } from "./compose-request.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRecord } from "./exchange-record.ts";
import { ExchangeRequest } from "./exchange-request.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import { redirectLocation } from "./redirect-location.ts";
import { responseFlags, type ResponseFlag } from "./response-flags.ts";
import { isIdempotent, retriesConnectFailure, retriesFailure, retriesResponse, retriesTimeout, scheduleRetry } from "./retry-decision.ts";
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

/** A request is kept for another attempt up to this size; beyond it, there is one attempt. */
export const maxReplayBytes = 64 * 1024;
const requestBufferBytes = 2048;

/**
 * One request and its answer: chooses the route, makes attempts at endpoints, and carries bodies both ways with back
 * pressure. A connection has one exchange, which is used for its requests one after the other.
 */
export class Exchange implements ResponseReceiver, PoolUser, ExchangeRecord {
  readonly #owner: ExchangeOwner;
  readonly #context: ExchangeContext;
  readonly #request = new ByteBuilder(requestBufferBytes);
  readonly #facts: ExchangeRequest;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  #config: HttpConnectionConfig;
  #route: Route | undefined;
  #requestComplete = false;
  #replayable = true;
  #attemptDigitAt = -1;
  /** Where the request was written to last: it may hold a view of the buffer after the answer has come. */
  #requestStream: ByteStream | undefined;
  #shadows: Shadow[] = [];
  #upgrade: string | undefined;
  #responseMutations: readonly HeaderMutation[] = [];

  // The attempts.
  #action: ForwardAction | undefined;
  cluster: Cluster | undefined;
  endpoint: Endpoint | undefined;
  #upstream: UpstreamConnection | undefined;
  #waiting = false;
  #attempts = 0;
  #retries = 0;
  #staleRetried = false;
  #tried: Set<Endpoint> | undefined;
  #retryTimer: Disposable | undefined;
  #routeTimer: Disposable | undefined;
  #tryTimer: Disposable | undefined;
  #sentAtMs = 0;

  // The answer.
  readonly #answer: Answer;
  #active = false;
  #upstreamPaused = false;
  #tunnel = false;
  flag: ResponseFlag = responseFlags.none;
  details = "";
  transportFailure = "";
  receivedBytes = 0;
  upstreamLocal = "";
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
    this.#answer = new Answer(owner.stream, context, this.#facts);
  }

  get active(): boolean {
    return this.#active;
  }

  get toHead(): boolean {
    return this.#facts.method === "HEAD";
  }

  get toConnect(): boolean {
    return this.#facts.isConnect;
  }

  get wantsPlainBody(): boolean {
    return this.#facts.protocol === "HTTP/1.0";
  }

  get method(): string {
    return this.#facts.method;
  }

  get pathAndQuery(): string {
    return this.#facts.pathAndQuery;
  }

  get protocol(): "HTTP/1.0" | "HTTP/1.1" {
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

  /** Begins with a scanned head and what came of the body; `complete` when that is all of it. */
  begin(head: MessageHead, keepAlive: boolean, bytes: Buffer, from: number, to: number, complete: boolean): void {
    this.#reset(head, keepAlive);
    this.receivedBytes = to - from;
    this.#requestComplete = complete;
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
    if (route.action.kind === "direct-response") this.#directResponse(route.action);
    else if (route.action.kind === "redirect") this.#redirect(route.action);
    else this.#forward(route, route.action, bytes, from, to);
  }

  /** Refuses what never became a request. */
  refuse(status: number, reason: string): void {
    this.#reset(undefined, false);
    this.#reply(status, statusText(status), responseFlags.downstreamProtocolError, `http1.codec_error{${reason.replaceAll(" ", "_")}}`);
  }

  requestBody(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (!this.#active) return;
    const size = to - from;
    this.receivedBytes += size;
    this.#requestComplete = complete;
    const upstream = this.#upstream;
    for (const shadow of this.#shadows) shadow.body(bytes, from, to, complete);
    let more = true;
    if (this.#replayable && this.#request.length + size > maxReplayBytes && upstream !== undefined) this.#replayable = false;
    if (upstream === undefined || this.#replayable) {
      const start = this.#request.length;
      this.#request.range(bytes, from, to);
      if (upstream !== undefined && size > 0) more = upstream.stream.write(this.#request.view(start));
    } else if (size > 0) more = upstream.stream.write(bytes.subarray(from, to));
    if (complete) this.#requestDone();
    else if (!more || upstream === undefined) this.#owner.pauseRequest();
  }

  /** The client's bytes after a switch of protocols. */
  clientBytes(chunk: Buffer): void {
    const upstream = this.#upstream;
    if (upstream === undefined) return;
    this.receivedBytes += chunk.length;
    if (!upstream.stream.write(chunk)) this.#owner.pauseRequest();
  }

  clientEnded(): void {
    this.#upstream?.stream.end();
  }

  /** The client takes bytes again. */
  clientDrained(): void {
    if (!this.#upstreamPaused) return;
    this.#upstreamPaused = false;
    this.#upstream?.stream.resume();
  }

  /** The client has gone. */
  abandon(): void {
    if (!this.#active) return;
    if (!this.#tunnel) {
      this.flag = responseFlags.downstreamConnectionTermination;
      this.details = "downstream_remote_disconnect";
    }
    this.#dropUpstream();
    this.#finish();
  }

  /** The framing of the request's body is wrong: where it ends cannot be known. */
  badBody(): void {
    this.#failWith(400, "Bad Request", responseFlags.downstreamProtocolError, "http1.codec_error{bad_chunked_framing}");
  }

  /** No byte has moved for too long. */
  idleTimeout(): void {
    if (!this.#active) return;
    this.#failWith(this.#requestComplete ? 504 : 408, "stream timeout", responseFlags.streamIdleTimeout, "stream_idle_timeout");
  }

  // ---- PoolUser

  connected(connection: UpstreamConnection): void {
    this.#waiting = false;
    this.#upstream = connection;
    this.upstreamLocal = `${connection.stream.local.address}:${connection.stream.local.port}`;
    connection.begin(this);
    this.#requestStream = connection.stream;
    const more = connection.stream.write(this.#request.view());
    if (this.#requestComplete) this.#sent();
    else if (more) this.#owner.resumeRequest();
    const perTryMs = this.#action?.retry?.perTryTimeoutMs ?? 0;
    if (perTryMs > 0) this.#tryTimer = this.#context.clock.after(perTryMs, () => this.#tryTimedOut());
  }

  connectFailed(failure: ConnectFailure): void {
    this.#waiting = false;
    this.#leaveEndpoint(true);
    this.transportFailure = failure.message;
    if (failure.kind === "overflow") {
      if (this.cluster !== undefined) this.cluster.counters.overflow += 1;
      this.#reply(503, resetText("overflow"), responseFlags.upstreamOverflow, "upstream_reset_before_response_started{overflow}");
      return;
    }
    if (retriesConnectFailure(this.#action?.retry, failure) && this.#retryLater()) return;
    const reason = failure.kind === "timeout" ? "connection timeout" : `remote connection failure, transport failure reason: ${failure.message}`;
    this.#reply(503, resetText(reason), responseFlags.upstreamConnectionFailure, `upstream_reset_before_response_started{${reason.replaceAll(/[\s,]+/g, "_")}}`);
  }

  // ---- ResponseReceiver

  interimResponse(head: MessageHead): void {
    if (head.status === 100 && this.#config.forwardContinue) this.#answer.sayContinue();
  }

  response(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean): void {
    const { retry } = this.#action ?? {};
    if (retry !== undefined && retriesResponse(retry, head.status, head.get("grpc-status")) && this.#retryInstead(last)) return;
    this.details = "via_upstream";
    this.#afterSend(this.#answer.fromUpstream(head, framing, from, to, last, this.#responseEdits(head), this.#sentAtMs), last);
  }

  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.#active) this.#afterSend(this.#answer.body(bytes, from, to, last), last);
  }

  switched(head: MessageHead, from: number, to: number): void {
    this.#tunnel = true;
    this.details = "via_upstream";
    if (!this.#answer.switching(head, from, to, this.#responseEdits(head), this.#sentAtMs)) this.#pauseUpstream();
    this.#clearTimers();
    this.#owner.switchToTunnel();
  }

  switchedBytes(bytes: Buffer): void {
    this.#owner.touch();
    if (!this.#answer.raw(bytes)) this.#pauseUpstream();
  }

  switchedEnd(): void {
    this.#owner.endTunnel();
  }

  upstreamFailed(failure: UpstreamFailure): void {
    const connection = this.#upstream;
    this.#upstream = undefined;
    this.#leaveEndpoint(!this.#tunnel);
    if (this.#tunnel) {
      this.#finish();
      this.#owner.exchangeEnded(false, true);
      return;
    }
    if (this.#answer.started) {
      this.flag = failure.kind === "protocol-error" ? responseFlags.upstreamProtocolError : responseFlags.upstreamConnectionTermination;
      this.details = `upstream_reset_after_response_started{${failure.message.replaceAll(/[\s,]+/g, "_")}}`;
      this.#finish();
      this.#owner.abort();
      return;
    }
    if (this.#retriesStale(connection, failure)) return;
    if (this.#replayable && retriesFailure(this.#action?.retry, failure) && this.#retryLater()) return;
    if (failure.kind === "protocol-error") {
      this.#reply(502, resetText("protocol error"), responseFlags.upstreamProtocolError, `upstream_reset_before_response_started{protocol_error}`);
    } else {
      this.transportFailure = failure.message === "connection termination" ? "" : failure.message;
      this.#reply(503, resetText("connection termination"), responseFlags.upstreamConnectionTermination, "upstream_reset_before_response_started{connection_termination}");
    }
  }

  upstreamDrained(): void {
    if (this.#tunnel || !this.#requestComplete) this.#owner.resumeRequest();
  }

  // ---- the request's way

  #reset(head: MessageHead | undefined, keepAlive: boolean): void {
    this.#config = this.#context.config();
    this.#facts.reset(head);
    this.#active = true;
    this.#answer.reset(this.#config, keepAlive);
    this.#requestComplete = true;
    this.#replayable = true;
    this.#route = undefined;
    this.#action = undefined;
    this.#upgrade = undefined;
    this.#responseMutations = [];
    this.cluster = undefined;
    this.endpoint = undefined;
    this.#attempts = 0;
    this.#retries = 0;
    this.#staleRetried = false;
    this.#tried = undefined;
    this.flag = responseFlags.none;
    this.details = "";
    this.transportFailure = "";
    this.receivedBytes = 0;
    this.upstreamLocal = "";
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

  #directResponse(action: DirectResponseAction): void {
    this.#reply(action.status, action.body, responseFlags.none, "direct_response");
  }

  #redirect(action: RedirectAction): void {
    const location = redirectLocation(action, this.#facts);
    this.#reply(action.status, "", responseFlags.none, "direct_response", [["location", location]]);
  }

  #forward(route: Route, action: ForwardAction, bytes: Buffer, from: number, to: number): void {
    this.#action = action;
    const choice = chooseCluster(action.target, (name) => this.#facts.head.get(name), this.#context.random);
    const cluster = choice === undefined ? undefined : this.#context.cluster(choice.cluster);
    if (choice === undefined || cluster === undefined) {
      this.#reply(action.clusterNotFoundStatus, "", responseFlags.noClusterFound, "cluster_not_found");
      return;
    }
    this.cluster = cluster;
    if (!this.#checkUpgrade(action)) return;
    if (choice.responseMutation !== undefined) this.#responseMutations = [choice.responseMutation, ...this.#responseMutations];
    const mutations = choice.requestMutation === undefined ? route.requestMutations : [choice.requestMutation, ...route.requestMutations];
    const edits = mutations.length === 0 ? undefined : this.#edit(mutations, this.#facts.head);
    const endpoint = this.#pick(cluster, action);
    if (endpoint === undefined) return;
    this.#composeRequest(action, choice.hostRewrite ?? action.rewriteHost, endpoint, edits);
    this.#request.range(bytes, from, to);
    this.#shadows = [];
    if (action.mirrors.length > 0) this.#mirror(action, edits, bytes, from, to);
    if (this.#facts.head.expectsContinue && !this.#config.forwardContinue && !this.#requestComplete) this.#answer.sayContinue();
    this.#attempt(endpoint, false);
    if (this.#active && this.#requestComplete) this.#requestDone();
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

  #composeRequest(action: ForwardAction, hostRewrite: string | undefined, endpoint: Endpoint, edits: HeaderEdits | undefined): void {
    const host = edits?.added.find(([name]) => name === "host")?.[1] ?? hostRewrite ?? (action.autoHostRewrite ? endpoint.config.hostname : undefined) ?? this.#facts.changedHost();
    if ((this.#requestStream?.bufferedBytes ?? 0) > 0) this.#request.detach();
    else this.#request.clear(requestBufferBytes);
    this.#requestStream = undefined;
    this.#attemptDigitAt = this.#compose(this.#request, action, host, edits);
  }

  /** Writes the request's head for an upstream; answers as {@link composeRequest}. */
  #compose(out: ByteBuilder, action: ForwardAction, host: string | undefined, edits: HeaderEdits | undefined): number {
    const facts = this.#facts;
    const path = action.rewritePath?.(facts.path) ?? facts.path;
    const rewritten = facts.targetDiffers || (path !== facts.path && !facts.isConnect);
    return composeRequest(out, {
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
    });
  }

  /** Sends copies to the mirrors of the route, as far as they can take them. */
  #mirror(action: ForwardAction, edits: HeaderEdits | undefined, bytes: Buffer, from: number, to: number): void {
    for (const mirror of action.mirrors) {
      const endpoint = this.#upgrade === undefined && this.#context.random() < mirror.fraction ? this.#context.cluster(mirror.cluster)?.pick(undefined, 1) : undefined;
      if (endpoint === undefined) continue;
      const { authority } = this.#facts;
      const name = withoutPort(authority);
      const head = new ByteBuilder(requestBufferBytes);
      this.#compose(head, action, mirror.keepHost ? authority : `${name}-shadow${authority.slice(name.length)}`, edits);
      const shadow = new Shadow(endpoint, head.view(), this.toHead, this.#context.clock);
      shadow.body(bytes, from, to, this.#requestComplete);
      this.#shadows.push(shadow);
    }
  }

  #pick(cluster: Cluster, action: ForwardAction): Endpoint | undefined {
    if (cluster.activeRequests >= cluster.config.maxRequests) {
      cluster.counters.overflow += 1;
      this.#reply(503, resetText("overflow"), responseFlags.upstreamOverflow, "upstream_reset_before_response_started{overflow}");
      return undefined;
    }
    const avoid = action.retry?.avoidPreviousHosts === true ? this.#tried : undefined;
    const endpoint = cluster.pick(avoid, action.retry?.hostSelectionAttempts ?? 1);
    if (endpoint === undefined) {
      cluster.counters.noHealthyEndpoint += 1;
      this.#reply(503, "no healthy upstream", responseFlags.noHealthyUpstream, "no_healthy_upstream");
    }
    return endpoint;
  }

  #attempt(endpoint: Endpoint, fresh: boolean): void {
    this.#attempts += 1;
    this.endpoint = endpoint;
    endpoint.activeRequests += 1;
    endpoint.counters.requests += 1;
    endpoint.cluster.activeRequests += 1;
    endpoint.cluster.counters.requests += 1;
    if (this.#attemptDigitAt >= 0 && this.#attempts <= 9) this.#request.buffer[this.#attemptDigitAt] = 48 + this.#attempts;
    this.#waiting = true;
    endpoint.pool.acquire(this, fresh);
  }

  #requestDone(): void {
    if (this.#upstream !== undefined) this.#sent();
    const timeoutMs = this.#action?.timeoutMs ?? 0;
    if (timeoutMs > 0 && this.#routeTimer === undefined) {
      this.#routeTimer = this.#context.clock.after(timeoutMs, () => {
        this.#failWith(504, "upstream request timeout", responseFlags.upstreamRequestTimeout, "response_timeout");
      });
    }
  }

  #sent(): void {
    this.#upstream?.requestWritten();
    this.#sentAtMs = this.#context.clock.steadyMs();
  }

  // ---- further attempts

  /**
   * A kept-alive connection that its peer closed while we were writing: nothing of an answer came, so a request that
   * was never sent, or may be sent twice, goes once more over a new connection. This is no retry of the policy.
   */
  #retriesStale(connection: UpstreamConnection | undefined, failure: UpstreamFailure): boolean {
    if (connection?.reused !== true || failure.anyByte || failure.kind !== "closed" || this.#staleRetried || !this.#replayable) return false;
    if (!failure.nothingSent && !isIdempotent(this.#facts.method)) return false;
    const { endpoint } = this;
    if (endpoint === undefined) return false;
    this.#staleRetried = true;
    this.#attempts -= 1;
    this.#attempt(endpoint, true);
    return true;
  }

  #retryLater(): boolean {
    const policy = this.#action?.retry;
    if (policy === undefined || this.#retries >= policy.retries || !this.#replayable || !this.#active) return false;
    this.#retries += 1;
    if (this.cluster !== undefined) this.cluster.counters.retries += 1;
    if (this.endpoint !== undefined) (this.#tried ??= new Set()).add(this.endpoint);
    const { clock, random } = this.#context;
    this.#retryTimer = scheduleRetry(policy, this.#retries, clock, random, () => {
      this.#retryTimer = undefined;
      const { cluster } = this;
      if (!this.#active || cluster === undefined || this.#action === undefined) return;
      const endpoint = this.#pick(cluster, this.#action);
      if (endpoint !== undefined) this.#attempt(endpoint, false);
    });
    return true;
  }

  /** Another attempt instead of an answer that has begun to come. */
  #retryInstead(complete: boolean): boolean {
    const policy = this.#action?.retry;
    if (policy === undefined || this.#retries >= policy.retries || !this.#replayable || !this.#requestComplete) return false;
    const connection = this.#upstream;
    this.#upstream = undefined;
    if (!complete) connection?.abandon();
    this.#leaveEndpoint(true);
    return this.#retryLater();
  }

  #tryTimedOut(): void {
    this.#tryTimer = undefined;
    if (!this.#active || this.#answer.started) return;
    if (retriesTimeout(this.#action?.retry)) {
      this.#dropUpstream();
      if (this.#retryLater()) return;
    }
    this.#failWith(504, "upstream request timeout", responseFlags.upstreamRequestTimeout, "upstream_per_try_timeout");
  }

  // ---- the answer

  #afterSend(more: boolean, last: boolean): void {
    this.#owner.touch();
    if (last) {
      this.#upstream = undefined;
      this.#leaveEndpoint(false);
      this.#finish();
      this.#owner.exchangeEnded(this.#answer.keepAlive && this.#requestComplete, more);
    } else if (!more) this.#pauseUpstream();
  }

  #pauseUpstream(): void {
    this.#upstreamPaused = true;
    this.#upstream?.stream.pause();
  }

  /** Ends the exchange for a reason of ours: by an answer, or by closing when one has begun. */
  #failWith(status: number, text: string, flag: ResponseFlag, details: string): void {
    if (!this.#active) return;
    this.#dropUpstream();
    if (this.#answer.started) {
      this.flag = flag;
      this.details = details;
      this.#finish();
      this.#owner.abort();
    } else this.#reply(status, text, flag, details);
  }

  #reply(status: number, body: string | Buffer, flag: ResponseFlag, details: string, fields: readonly (readonly [string, string])[] = []): void {
    this.flag = flag;
    this.details = details;
    const edits = this.#route?.action.kind === "forward" ? undefined : this.#responseEdits(this.#facts.head);
    const more = this.#answer.local({ status, body, fields: edits === undefined ? fields : [...fields, ...edits.added] }, this.#requestComplete);
    this.#finish();
    this.#owner.exchangeEnded(this.#answer.keepAlive, more);
  }

  // ---- the end

  #leaveEndpoint(failed: boolean): void {
    const { endpoint } = this;
    if (endpoint === undefined || !this.#active) return;
    this.#tryTimer?.[Symbol.dispose]();
    this.#tryTimer = undefined;
    endpoint.activeRequests -= 1;
    endpoint.cluster.activeRequests -= 1;
    if (failed || this.status >= 500) endpoint.counters.errors += 1;
    else endpoint.counters.successes += 1;
  }

  #dropUpstream(): void {
    this.#retryTimer?.[Symbol.dispose]();
    this.#retryTimer = undefined;
    const { endpoint } = this;
    if (this.#waiting && endpoint !== undefined) {
      this.#waiting = false;
      endpoint.pool.giveUp(this);
      this.#leaveEndpoint(true);
    }
    const upstream = this.#upstream;
    this.#upstream = undefined;
    if (upstream === undefined) return;
    this.#leaveEndpoint(true);
    upstream.abandon();
  }

  #clearTimers(): void {
    this.#routeTimer?.[Symbol.dispose]();
    this.#routeTimer = undefined;
    this.#tryTimer?.[Symbol.dispose]();
    this.#tryTimer = undefined;
  }

  #finish(): void {
    this.#clearTimers();
    if (!this.#requestComplete) for (const shadow of this.#shadows) shadow.abandon();
    this.#active = false;
    this.#upstreamPaused = false;
    this.#tunnel = false;
    this.durationMs = this.#context.clock.steadyMs() - this.#startedSteadyMs;
    this.#context.observe(this);
  }
}

function resetText(reason: string): string {
  return `upstream connect error or disconnect/reset before headers. reset reason: ${reason}`;
}
