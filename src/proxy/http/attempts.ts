import type { SocketAddress } from "../../net/index.ts";
import type { UpstreamEnd } from "../terms/address-text.ts";
import { parseAuthority } from "../../wire/hbone/index.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import type { ForwardAction, RetryPolicy } from "../routing/route.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { ConnectionPool } from "../upstream/connection-pool.ts";
import type { ConnectFailure, PoolUser, WireProtocol } from "../upstream/pool-user.ts";
import { judgedStatus } from "../terms/grpc-call.ts";
import { responseFlags, type UnretriedFlag } from "../terms/response-flags.ts";
import { PreviousPriorities } from "../upstream/previous-priorities.ts";
import {
  blamesEndpoint,
  type ResponseReceiver,
  type UpstreamChannel,
  type UpstreamFailure,
} from "../upstream/upstream-channel.ts";
import type { UpstreamAnswer } from "./answer.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import type { OutgoingRequest } from "./outgoing-request.ts";
import { unreachedHeader } from "../peers/peer-metadata.ts";
import {
  afterRetries,
  brokenOffReply,
  connectFailureReply,
  replyTable,
  upstreamFailureReplies,
  type ReplyRow,
} from "./reply-table.ts";
import {
  isIdempotent,
  mayBeUnseen,
  retriesConnectFailure,
  retriesFailure,
  retriesResponse,
  retriesTimeout,
  scheduleRetry,
  type LostRequest,
} from "./retry-decision.ts";

/**
 * The exchange for which the attempts are made. Its methods are no longer called after it has failed or its response is
 * complete.
 */
export interface AttemptsOwner {
  /** Whether a part of the response was sent to the client. Then there is no further attempt. */
  readonly answerStarted: boolean;
  interimAnswer(head: MessageHead): void;
  answered(upstream: UpstreamAnswer): void;
  answerBody(bytes: Buffer, from: number, to: number, last: boolean): void;
  answerTrailers(fields: readonly string[]): void;
  switched(head: MessageHead, from: number, to: number, sentAtMs: number): void;
  tunnelBytes(bytes: Buffer): void;
  /** Called when the upstream has ended its side of a tunnel. `isComplete` says whether the whole tunnel has ended. */
  tunnelEnded(isComplete: boolean): void;
  /**
   * Called when no endpoint responds and no further attempt follows. The owner then responds itself, or cuts off a
   * response that has already begun.
   */
  failed(reply: ReplyRow): void;
  upstreamTakesMore(): void;
  /** Called after an error of our own code. The owner ends. */
  faulted(error: unknown): void;
}

/** A retry that counts towards the retry limit of its cluster's circuit breaker. */
interface TakenRetry {
  readonly policy: RetryPolicy;
  readonly cluster: Cluster;
}

/** Makes attempts for one exchange, one after another, until an endpoint of its cluster responds. */
export class Attempts implements PoolUser, ResponseReceiver {
  readonly #owner: AttemptsOwner;
  readonly #context: ExchangeContext;
  readonly #facts: ExchangeRequest;
  readonly #request: OutgoingRequest;
  #action: ForwardAction | undefined;
  cluster: Cluster | undefined;
  endpoint: Endpoint | undefined;
  /** The pool from which the last attempt got its connection, or in which it waits for one. */
  #pool: ConnectionPool | undefined;
  /** Whether the current attempt counts among the active requests of its endpoint. */
  #counted = false;
  #channel: UpstreamChannel | undefined;
  #waiting = false;
  #tunnel = false;
  #paused = false;
  /**
   * The number of attempts. Sending the request again because no server has processed it does not count as an attempt.
   */
  #made = 0;
  /** The number of retries that the policy and the circuit breaker have allowed. */
  #retriesTaken = 0;
  #staleRetried = false;
  #refusals = 0;
  #tried: Set<Endpoint> | undefined;
  #previous: PreviousPriorities | undefined;
  #retryTimer: Disposable | undefined;
  #routeTimer: Disposable | undefined;
  #tryTimer: Disposable | undefined;
  /** When the current attempt got its connection, on the steady clock. */
  #begunAtMs = 0;
  /** When the whole request had been sent upstream, on the steady clock. Negative before that. */
  #sentAtMs = -1;
  #status = 0;
  #timeoutMs = 0;
  /** The time limit of one attempt, in milliseconds. 0 means no limit. */
  #perTryMs = 0;
  /**
   * When the client had sent the whole request, on the steady clock. Only set if there is a time limit, and negative
   * before that.
   */
  #completeAtMs = -1;
  #hash: number | undefined;
  /** Why no further attempt was made although the retry policy asked for one. Undefined if the policy did not ask. */
  unretried: UnretriedFlag | undefined;
  /** Whether a retry of this exchange still counts towards the limit of its cluster's circuit breaker. */
  #retrying = false;
  /** The destination that the client chose, for a cluster that has no endpoints of its own. */
  #destination: SocketAddress | undefined;
  #hostname: string | undefined;
  upstreamProtocol: WireProtocol = "http1";
  /** Our end of the last attempt's connection. Undefined without one. */
  upstreamEnd: UpstreamEnd | undefined;
  transportFailure = "";

  constructor(owner: AttemptsOwner, context: ExchangeContext, facts: ExchangeRequest, request: OutgoingRequest) {
    this.#owner = owner;
    this.#context = context;
    this.#facts = facts;
    this.#request = request;
  }

  get toHead(): boolean {
    return this.#facts.method === "HEAD";
  }

  get toConnect(): boolean {
    return this.#facts.isConnect;
  }

  get toUpgrade(): boolean {
    return this.#request.asksUpgrade;
  }

  get wantsPlainBody(): boolean {
    return this.#facts.protocol !== "HTTP/1.1" || this.#facts.isGrpcWeb || this.#facts.answerPassesFilters;
  }

  get http1Trailers(): boolean {
    return this.#context.config().http1Trailers || this.#facts.isGrpcWeb || this.#facts.answerPassesFilters;
  }

  get chunksRequest(): boolean {
    return this.#request.chunksRequest;
  }

  get scheme(): string {
    return this.#facts.scheme;
  }

  get sendsOnce(): boolean {
    return !isIdempotent(this.#facts.method);
  }

  /** The number of attempts after the first one. A retry that found no endpoint is not counted. */
  get retries(): number {
    return Math.max(0, this.#made - 1);
  }

  /** The connection or stream to which the request's body goes now. Undefined without one. */
  get channel(): UpstreamChannel | undefined {
    return this.#channel;
  }

  target(
    cluster: Cluster,
    action: ForwardAction,
    protocol: WireProtocol,
    timeoutMs: number,
    hash: number | undefined,
  ): void {
    this.cluster = cluster;
    this.#action = action;
    this.upstreamProtocol = protocol;
    this.#timeoutMs = timeoutMs;
    // As in Envoy, the limit of one attempt has an effect only if it is shorter than the limit of all attempts.
    const perTryMs = action.retry?.perTryTimeoutMs ?? 0;
    this.#perTryMs = timeoutMs > 0 && perTryMs >= timeoutMs ? 0 : perTryMs;
    this.#hash = hash;
    const rule = cluster.config.originalDestination;
    this.#hostname = undefined;
    if (rule === undefined) return;
    const named = rule.header === undefined ? undefined : parseAuthority(this.#facts.head.get(rule.header) ?? "");
    this.#destination = named?.isAddress === true ? { address: named.host, port: named.port } : this.#facts.local;
  }

  /** Sets where a forward proxy sends the request, after {@link target}. */
  forwardTo(destination: ForwardDestination): void {
    this.#destination = destination;
    this.#hostname = destination.hostname;
  }

  /** The time in milliseconds that the next attempt may take for its response. 0 means no limit. */
  get expectedMs(): number {
    if (this.#timeoutMs === 0) return this.#perTryMs;
    const spentMs = this.#completeAtMs < 0 ? 0 : this.#context.clock.steadyMs() - this.#completeAtMs;
    // Say at least 1, because 0 would tell the upstream that there is no limit.
    const leftMs = Math.max(1, Math.ceil(this.#timeoutMs - spentMs));
    return this.#perTryMs > 0 ? Math.min(this.#perTryMs, leftMs) : leftMs;
  }

  /** Chooses an endpoint for the next attempt. If there is none, the exchange fails, and the result is undefined. */
  pick(): Endpoint | undefined {
    const { cluster } = this;
    if (cluster === undefined) return undefined;
    if (cluster.breaker.requests.exhausted) {
      cluster.breaker.requests.overflows += 1;
      this.#overflowed(cluster);
      return undefined;
    }
    const preferred = this.#made === 0 ? this.#facts.preferredEndpoint : undefined;
    const named = preferred === undefined ? undefined : cluster.named(preferred.name);
    const isStrict = preferred?.statusWithoutIt !== undefined;
    const endpoint = typeof named === "object" ? named : isStrict ? undefined : this.#choose(cluster);
    if (endpoint === undefined) {
      cluster.counters.noHealthyEndpoint += 1;
      const missing = named === undefined ? preferred?.statusWithoutIt : undefined;
      this.#owner.failed({ ...replyTable.noHealthyUpstream, ...(missing === undefined ? {} : { status: missing }) });
    }
    return endpoint;
  }

  #choose(cluster: Cluster): Endpoint | undefined {
    if (this.#destination !== undefined) return cluster.forDestination(this.#destination, this.#hostname);
    const retry = this.#action?.retry;
    const avoid = retry?.avoidPreviousHosts === true ? this.#tried : undefined;
    return cluster.pick(avoid, retry?.hostSelectionAttempts ?? 1, this.#hash, this.#previous);
  }

  attempt(endpoint: Endpoint, fresh: boolean): void {
    this.#made += 1;
    this.endpoint = endpoint;
    this.#counted = true;
    endpoint.activeRequests += 1;
    endpoint.counters.requests += 1;
    endpoint.cluster.activeRequests += 1;
    endpoint.cluster.breaker.requests.force();
    endpoint.cluster.counters.requests += 1;
    if (this.#made > 1) this.#request.stampAttempt(this.#made, this.expectedMs);
    this.#waiting = true;
    this.#pool = endpoint.poolFor(this.#facts.connection);
    this.#pool.acquire(this, fresh);
  }

  /**
   * Called when the client has sent the whole request. The time limits of the route and of the current attempt begin.
   */
  requestComplete(): void {
    if (this.#channel !== undefined) {
      if (this.#sentAtMs < 0) this.#sentAtMs = this.#context.clock.steadyMs();
      this.#limitTry();
    }
    if (this.#timeoutMs > 0 && this.#routeTimer === undefined) {
      // If `#sentAtMs` is set, the endpoint received the last part of the request just now.
      this.#completeAtMs = this.#sentAtMs < 0 ? this.#context.clock.steadyMs() : this.#sentAtMs;
      this.#routeTimer = this.#context.clock.after(this.#timeoutMs, () => {
        if (this.#counted) this.endpoint?.report({ kind: "timeout" });
        if (this.cluster !== undefined) this.cluster.counters.timeouts += 1;
        this.#giveUp(replyTable.responseTimeout);
      });
    }
  }

  pause(): void {
    this.#paused = true;
    this.#channel?.pause();
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#channel?.resume();
  }

  drop(): void {
    this.#retryTimer?.[Symbol.dispose]();
    this.#retryTimer = undefined;
    this.#endRetry();
    if (this.#waiting) {
      this.#waiting = false;
      this.#pool?.giveUp(this);
      this.#leave(true);
    }
    const channel = this.#channel;
    this.#channel = undefined;
    if (channel === undefined) return;
    this.#leave(true);
    channel.abandon();
  }

  end(): void {
    this.#clearTimers();
  }

  // ---- PoolUser

  connected(channel: UpstreamChannel): void {
    try {
      this.#send(channel);
    } catch (error) {
      this.#owner.faulted(error);
    }
  }

  #send(channel: UpstreamChannel): void {
    this.#waiting = false;
    this.#channel = channel;
    this.upstreamEnd = channel.local;
    this.#begunAtMs = this.#context.clock.steadyMs();
    channel.begin(this);
    const more = this.#request.sendTo(channel);
    // Use the time at which the attempt began, because sending takes only microseconds.
    if (this.#request.complete) this.#sentAtMs = this.#begunAtMs;
    else if (more) this.#owner.upstreamTakesMore();
    if (this.#request.complete) this.#limitTry();
  }

  /** Begins the time limit of the current attempt. Called when its endpoint has got the whole request. */
  #limitTry(): void {
    if (this.#perTryMs <= 0 || this.#tryTimer !== undefined || this.#tunnel) return;
    this.#tryTimer = this.#context.clock.after(this.#perTryMs, () => this.#tryTimedOut());
  }

  connectFailed(failure: ConnectFailure): void {
    this.#waiting = false;
    this.#leave(true);
    this.transportFailure = failure.message;
    if (failure.kind === "overflow") {
      if (this.cluster !== undefined) this.#overflowed(this.cluster);
      return;
    }
    if (this.cluster !== undefined) this.cluster.counters.waitFailures += 1;
    this.endpoint?.report({ kind: failure.kind === "timeout" ? "timeout" : "connect-failure" });
    if (retriesConnectFailure(this.#action?.retry, failure) && this.#retryLater()) return;
    this.#failedLast(failure.kind === "timeout" ? replyTable.connectTimeout : connectFailureReply(failure.message));
  }

  // ---- ResponseReceiver

  interimResponse(head: MessageHead): void {
    this.#owner.interimAnswer(head);
  }

  response(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean): void {
    const retry = this.#action?.retry;
    const { isGrpc } = this.#facts;
    const grpcStatus = isGrpc || retry !== undefined ? head.get("grpc-status") : undefined;
    this.endpoint?.cluster.countResponse(head.status);
    this.endpoint?.report({ kind: "answer", status: judgedStatus(head.status, isGrpc ? grpcStatus : undefined) });
    if (retry !== undefined) {
      // Do not wait for the whole body before sending it to the next endpoint: as after a failed connection, no
      // application has seen the request.
      const wasUnreached = retry.on.connectFailure && isUnreached(head, grpcStatus);
      const isWanted = wasUnreached || (this.#request.complete && retriesResponse(retry, head, grpcStatus));
      if (isWanted && this.#retryInstead(last)) return;
    }
    this.#status = head.status;
    if (last) this.#answerComplete();
    this.#owner.answered({ head, framing, from, to, last, sentAtMs: this.#sentAtMs });
  }

  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (last) this.#answerComplete();
    this.#owner.answerBody(bytes, from, to, last);
  }

  responseTrailers(fields: readonly string[]): void {
    this.#answerComplete();
    this.#owner.answerTrailers(fields);
  }

  switched(head: MessageHead, from: number, to: number): void {
    this.#tunnel = true;
    this.#clearTimers();
    this.#owner.switched(head, from, to, this.#sentAtMs);
  }

  switchedBytes(bytes: Buffer): void {
    this.#owner.tunnelBytes(bytes);
  }

  switchedEnd(): void {
    this.#owner.tunnelEnded(false);
  }

  upstreamFailed(failure: UpstreamFailure): void {
    const channel = this.#channel;
    this.#channel = undefined;
    this.#leave(!this.#tunnel);
    if (this.#tunnel) {
      this.#owner.tunnelEnded(true);
      return;
    }
    if (blamesEndpoint(failure, channel)) this.endpoint?.report({ kind: "reset" });
    if (this.#owner.answerStarted) {
      this.#owner.failed(brokenOffReply(failure));
      return;
    }
    const lost = this.#lost(channel, failure);
    if (this.#resendStale(channel, lost) || this.#resendRefused(failure)) return;
    if (retriesFailure(this.#action?.retry, lost) && this.#retryLater()) return;
    if (failure.kind !== "protocol-error" && failure.message !== "connection termination")
      this.transportFailure = failure.message;
    this.#failedLast(upstreamFailureReplies[failure.kind]);
  }

  upstreamDrained(): void {
    if (this.#tunnel || !this.#request.complete) this.#owner.upstreamTakesMore();
  }

  // ---- further attempts

  #lost(channel: UpstreamChannel | undefined, failure: UpstreamFailure): LostRequest {
    const config = this.endpoint?.config;
    return {
      method: this.#facts.method,
      failure,
      afterMs: this.#context.clock.steadyMs() - this.#begunAtMs,
      mayBeUnaccepted:
        channel?.reused === false &&
        this.upstreamProtocol !== "http2" &&
        config?.transport.kind !== "tls" &&
        config?.innerTls === undefined,
    };
  }

  /**
   * Sends the request once more over a new connection if the peer closed a kept-alive connection while the request was
   * written. No part of the response may have begun, and the request must be unsent or safe to repeat. This does not
   * count as a retry of the policy. Returns whether the request was sent.
   */
  #resendStale(channel: UpstreamChannel | undefined, lost: LostRequest): boolean {
    if (channel?.reused !== true || this.#staleRetried || !this.#request.replayable || !mayBeUnseen(lost)) return false;
    const { endpoint } = this;
    if (endpoint === undefined) return false;
    this.#staleRetried = true;
    this.#made -= 1;
    this.attempt(endpoint, true);
    return true;
  }

  /**
   * Sends the request again if the server goes away or refuses further streams, because the server has then not
   * processed the request. Returns whether the request was sent.
   */
  #resendRefused(failure: UpstreamFailure): boolean {
    const { endpoint } = this;
    if (
      failure.kind !== "refused" ||
      this.#refusals >= maxRefusals ||
      !this.#request.replayable ||
      endpoint === undefined
    )
      return false;
    this.#refusals += 1;
    this.#made -= 1;
    this.attempt(endpoint, true);
    return true;
  }

  #retryLater(): boolean {
    const retry = this.#takeRetry();
    if (retry === undefined) return false;
    this.#schedule(retry);
    return true;
  }

  /**
   * Makes another attempt in place of a response that has begun to arrive, if that is allowed. Returns whether it does.
   */
  #retryInstead(complete: boolean): boolean {
    const retry = this.#takeRetry();
    if (retry === undefined) return false;
    const channel = this.#channel;
    this.#channel = undefined;
    if (!complete) channel?.abandon();
    this.#leave(true);
    this.#schedule(retry);
    return true;
  }

  /**
   * Takes a retry from the limit of the cluster's circuit breaker, if the policy allows another attempt of this
   * request. Returns undefined if it does not, or if the limit is reached.
   */
  #takeRetry(): TakenRetry | undefined {
    const policy = this.#action?.retry;
    const { cluster } = this;
    if (policy === undefined || cluster === undefined || !this.#request.replayable) return undefined;
    if (this.#retriesTaken >= policy.retries) this.unretried = responseFlags.upstreamRetryLimitExceeded;
    else if (cluster.breaker.retries.take()) return { policy, cluster };
    else this.unretried = responseFlags.upstreamOverflow;
    return undefined;
  }

  /**
   * Makes another attempt after a pause. The previous attempt has ended by then, so it no longer counts for the circuit
   * breaker.
   */
  #schedule({ policy, cluster }: TakenRetry): void {
    this.#retrying = true;
    this.#retriesTaken += 1;
    cluster.counters.retries += 1;
    if (this.endpoint !== undefined) {
      (this.#tried ??= new Set()).add(this.endpoint);
      if (policy.otherPrioritiesAfter !== undefined)
        (this.#previous ??= new PreviousPriorities(policy.otherPrioritiesAfter)).tried(this.endpoint.config.priority);
    }
    const { clock, random } = this.#context;
    this.#retryTimer = scheduleRetry(policy, this.#retriesTaken, clock, random, () => {
      this.#retryTimer = undefined;
      const endpoint = this.pick();
      if (endpoint !== undefined) this.attempt(endpoint, false);
      else this.#endRetry();
    });
  }

  #tryTimedOut(): void {
    this.#tryTimer = undefined;
    if (this.#owner.answerStarted) return;
    this.endpoint?.report({ kind: "timeout" });
    if (this.cluster !== undefined) this.cluster.counters.tryTimeouts += 1;
    if (retriesTimeout(this.#action?.retry)) {
      this.drop();
      if (this.#retryLater()) return;
    }
    this.#giveUp(replyTable.tryTimeout);
  }

  // ---- ends

  #answerComplete(): void {
    this.#channel = undefined;
    this.#leave(this.#status >= 500);
  }

  #failedLast(reply: ReplyRow): void {
    this.#owner.failed(this.#retriesTaken > 0 ? afterRetries(reply) : reply);
  }

  #endRetry(): void {
    if (!this.#retrying) return;
    this.#retrying = false;
    this.cluster?.breaker.retries.give();
  }

  #overflowed(cluster: Cluster): void {
    cluster.counters.overflow += 1;
    this.#owner.failed(replyTable.overflow);
  }

  #giveUp(reply: ReplyRow): void {
    this.drop();
    this.#owner.failed(reply);
  }

  #leave(failed: boolean): void {
    const { endpoint } = this;
    if (endpoint === undefined || !this.#counted) return;
    this.#counted = false;
    this.#tryTimer?.[Symbol.dispose]();
    this.#tryTimer = undefined;
    endpoint.activeRequests -= 1;
    endpoint.cluster.activeRequests -= 1;
    endpoint.cluster.breaker.requests.give();
    this.#endRetry();
    if (failed) endpoint.counters.errors += 1;
    else endpoint.counters.successes += 1;
  }

  #clearTimers(): void {
    this.#routeTimer?.[Symbol.dispose]();
    this.#routeTimer = undefined;
    this.#tryTimer?.[Symbol.dispose]();
    this.#tryTimer = undefined;
  }
}

/** The address to which a forward proxy has resolved the host that a request names. */
export interface ForwardDestination extends SocketAddress {
  readonly hostname: string;
}

/**
 * Whether the peer reports that it could not reach its application. The attempt is then treated as if the peer itself
 * could not be reached.
 */
function isUnreached(head: MessageHead, grpcStatus: string | undefined): boolean {
  return (head.status >= 500 || grpcStatus !== undefined) && head.get(unreachedHeader) !== undefined;
}

/** How many times a request that the upstream has not processed is sent again without a retry policy. */
const maxRefusals = 3;
