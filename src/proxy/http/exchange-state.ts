import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import { addressText } from "../terms/address-text.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { HeaderMutation } from "../routing/header-mutation.ts";
import type { Route } from "../routing/route.ts";
import type { RequestTrace } from "../terms/request-trace.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { Answer } from "./answer.ts";
import { Attempts, type AttemptsOwner } from "./attempts.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeOwner } from "./exchange-owner.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import { ExchangeRequest } from "./exchange-request.ts";
import type { FilterPass } from "./filter-pass.ts";
import type { GrpcWebTranslation } from "./grpc-web.ts";
import { GrpcMessageCounter } from "./grpc.ts";
import type { HttpConnectionConfig } from "./http-connection-config.ts";
import type { MessageFlow } from "./message-flow.ts";
import { OutgoingRequest } from "./outgoing-request.ts";
import { decodePeerMetadata, peerMetadataHeader } from "../peers/peer-metadata.ts";
import { responseFlags, type ResponseFlag } from "../terms/response-flags.ts";
import type { ReplyRow } from "./reply-table.ts";

/** The state of an exchange and what others may read of it. The subclass has the behaviour. */
export abstract class ExchangeState implements ExchangeRecord, AttemptsOwner {
  protected readonly owner: ExchangeOwner;
  protected readonly context: ExchangeContext;
  protected readonly facts: ExchangeRequest;
  protected readonly request = new OutgoingRequest();
  protected readonly attempts: Attempts;
  protected readonly answer: Answer;
  protected config: HttpConnectionConfig;
  protected route: Route | undefined;
  protected upgrade: string | undefined;
  protected responseMutations: readonly HeaderMutation[] = [];
  protected pass: FilterPass | undefined;
  /** The answer's way through the filters. */
  protected answerFlow: MessageFlow | undefined;
  /** The answer has gone to the filters, and goes to them only once. */
  protected answerPassed = false;
  protected grpcWeb: GrpcWebTranslation | undefined;
  protected tunnel = false;
  /** Whether we have sent 100 Continue. */
  protected saidContinue = false;
  protected countsAnswer = false;
  #durationTimer: Disposable | undefined;
  #requestCounter: GrpcMessageCounter | undefined;
  #answerCounter: GrpcMessageCounter | undefined;
  active = false;
  trace: RequestTrace | undefined;
  readonly downstreamLocal: string;
  readonly downstreamRemote: string;
  downstreamPeer: WorkloadLabels | undefined;
  upstreamPeer: WorkloadLabels | undefined;
  flag: ResponseFlag = responseFlags.none;
  details = "";
  receivedBytes = 0;
  startedMs = 0;
  durationMs = 0;
  #startedSteadyMs = 0;

  constructor(owner: ExchangeOwner, context: ExchangeContext) {
    this.owner = owner;
    this.context = context;
    this.config = context.config();
    const { local, remote } = owner.info;
    this.downstreamLocal = addressText(local);
    this.downstreamRemote = addressText(remote);
    this.facts = new ExchangeRequest(owner.info, owner.isHttp2);
    this.attempts = new Attempts(this, context, this.facts, this.request);
    this.answer = owner.createAnswer(context, this.facts);
  }

  abstract interimAnswer(head: MessageHead): void;
  abstract answered(
    head: MessageHead,
    framing: BodyFraming,
    from: number,
    to: number,
    last: boolean,
    sentAtMs: number,
  ): void;
  abstract answerBody(bytes: Buffer, from: number, to: number, last: boolean): void;
  abstract answerTrailers(fields: readonly string[]): void;
  abstract switched(head: MessageHead, from: number, to: number, sentAtMs: number): void;
  abstract tunnelBytes(bytes: Buffer): void;
  abstract tunnelEnded(whole: boolean): void;
  abstract failed(reply: ReplyRow): void;
  abstract upstreamTakesMore(): void;

  /** The exchange ends when no byte has moved for this long. 0 means no limit. */
  get idleLimitMs(): number {
    const action = this.route?.action;
    return (action?.kind === "forward" ? action.idleTimeoutMs : undefined) ?? this.config.streamIdleTimeoutMs;
  }

  get answerStarted(): boolean {
    return this.answer.started || this.answerFlow !== undefined;
  }

  // ---- ExchangeRecord

  get connection(): ConnectionInfo {
    return this.owner.info;
  }

  get requestedServerName(): string {
    const { info } = this.owner;
    return info.serverName ?? info.tls?.serverName ?? "";
  }

  get method(): string {
    return this.facts.method;
  }

  get pathAndQuery(): string {
    return this.facts.pathAndQuery;
  }

  get protocol(): ExchangeRecord["protocol"] {
    return this.facts.protocol;
  }

  get authority(): string {
    return this.facts.authority;
  }

  get requestId(): string {
    return this.facts.requestId;
  }

  get forwardedFor(): string {
    return this.facts.forwardedFor;
  }

  get userAgent(): string {
    return this.facts.userAgent;
  }

  get isGrpc(): boolean {
    return this.facts.isGrpc;
  }

  get capturedRequest(): readonly string[] {
    return this.facts.captured;
  }

  get status(): number {
    return this.answer.status;
  }

  get sentBytes(): number {
    return this.answer.sentBytes;
  }

  get upstreamServiceMs(): number {
    return this.answer.upstreamServiceMs;
  }

  get grpcStatus(): string {
    return this.answer.grpcStatus;
  }

  get trailers(): readonly string[] {
    return this.answer.receivedTrailers;
  }

  get capturedResponse(): readonly string[] {
    return this.answer.captured;
  }

  get routeName(): string {
    return this.route?.name ?? "";
  }

  get operation(): string {
    return this.route?.operation ?? "";
  }

  get retries(): number {
    return this.attempts.retries;
  }

  get cluster(): Cluster | undefined {
    return this.attempts.cluster;
  }

  get endpoint(): Endpoint | undefined {
    return this.attempts.endpoint;
  }

  get upstreamLocal(): string {
    return this.attempts.upstreamLocal;
  }

  get transportFailure(): string {
    return this.attempts.transportFailure;
  }

  get requestMessages(): number {
    return this.facts.isGrpc ? (this.#requestCounter?.messages ?? 0) : 0;
  }

  get responseMessages(): number {
    return this.facts.isGrpc ? (this.#answerCounter?.messages ?? 0) : 0;
  }

  get metadata(): ReadonlyMap<string, unknown> | undefined {
    const { pass } = this;
    return pass === undefined || pass.metadata.size === 0 ? undefined : pass.metadata;
  }

  protected reset(head: MessageHead | undefined, keepAlive: boolean, complete: boolean): void {
    this.config = this.context.config();
    this.facts.reset(head);
    this.active = true;
    this.tunnel = false;
    this.saidContinue = false;
    this.answer.reset(this.config, keepAlive);
    this.request.reset(complete);
    this.attempts.reset();
    this.route = undefined;
    this.trace = undefined;
    this.upgrade = undefined;
    this.pass = undefined;
    this.answerFlow = undefined;
    this.answerPassed = false;
    this.grpcWeb = undefined;
    this.responseMutations = none;
    this.countsAnswer = false;
    this.downstreamPeer = this.owner.info.peer;
    this.upstreamPeer = undefined;
    this.flag = responseFlags.none;
    this.details = "";
    this.receivedBytes = 0;
    this.startedMs = this.context.clock.nowMs();
    this.#startedSteadyMs = this.context.clock.steadyMs();
    this.#requestCounter?.reset();
    this.#answerCounter?.reset();
  }

  protected finish(): void {
    this.stopTimers();
    this.attempts.end();
    this.request.end();
    this.active = false;
    this.durationMs = this.context.clock.steadyMs() - this.#startedSteadyMs;
    this.context.observe(this);
    this.pass?.abort();
  }

  protected limitDuration(limitMs: number, run: () => void): void {
    if (limitMs > 0)
      this.#durationTimer = this.context.clock.after(
        Math.max(0, limitMs - (this.context.clock.steadyMs() - this.#startedSteadyMs)),
        run,
      );
  }

  protected stopTimers(): void {
    this.#durationTimer?.[Symbol.dispose]();
    this.#durationTimer = undefined;
  }

  /** Bodies of HTTP/2 have no framing, so that messages can be counted. */
  protected countRequest(bytes: Buffer, from: number, to: number): void {
    if (this.facts.isHttp2) (this.#requestCounter ??= new GrpcMessageCounter()).add(bytes, from, to);
  }

  protected countAnswer(bytes: Buffer, from: number, to: number): void {
    (this.#answerCounter ??= new GrpcMessageCounter()).add(bytes, from, to);
  }

  protected readDownstreamPeer(): void {
    const value = this.facts.head.get(peerMetadataHeader);
    if (value === undefined) return;
    this.answer.peerAsked = true;
    this.downstreamPeer = decodePeerMetadata(value) ?? this.downstreamPeer;
  }

  protected readUpstreamPeer(head: MessageHead): void {
    const value = head.get(peerMetadataHeader);
    if (value !== undefined) this.upstreamPeer = decodePeerMetadata(value);
  }
}

const none: readonly HeaderMutation[] = [];
