import { keptAddressText, type UpstreamEnd } from "../terms/address-text.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { RandomUuid } from "../terms/random-id.ts";
import type { RequestTrace } from "../terms/request-trace.ts";
import { joinFlags, responseFlags, type ResponseFlag } from "../terms/response-flags.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";
import type { ExchangeRecord } from "../record/exchange-record.ts";
import type { Route } from "../routing/route.ts";
import type { Cluster, Endpoint } from "../upstream/cluster.ts";
import type { Answer } from "./answer.ts";
import type { Attempts } from "./attempts.ts";
import type { ExchangeContext } from "./exchange-context.ts";
import type { ExchangeRequest } from "./exchange-request.ts";
import { GrpcMessageCounter } from "./grpc.ts";
import type { EndRow } from "./reply-table.ts";

/**
 * The record of one exchange while it runs. It reads the values that other parts of the exchange hold, and stores the
 * rest itself. Each request gets a new record, so that nothing of an earlier exchange is in it.
 */
export class LiveRecord implements ExchangeRecord {
  readonly connection: ConnectionInfo;
  readonly #request: ExchangeRequest;
  readonly #attempts: Attempts;
  readonly #answer: Answer;
  readonly startedMs: number;
  readonly startedSteadyMs: number;
  durationMs = 0;
  flag: ResponseFlag = responseFlags.none;
  details = "";
  isHealthCheck = false;
  receivedBytes = 0;
  route: Route | undefined;
  trace: RequestTrace | undefined;
  downstreamPeer: WorkloadLabels | undefined;
  upstreamPeer: WorkloadLabels | undefined;
  /** The metadata that filters have set. Undefined if no filter ran. */
  filterMetadata: ReadonlyMap<string, unknown> | undefined;
  #requestCounter: GrpcMessageCounter | undefined;
  #answerCounter: GrpcMessageCounter | undefined;

  constructor(context: ExchangeContext, request: ExchangeRequest, attempts: Attempts, answer: Answer) {
    this.connection = request.connection;
    this.#request = request;
    this.#attempts = attempts;
    this.#answer = answer;
    this.startedMs = context.clock.nowMs();
    this.startedSteadyMs = context.clock.steadyMs();
    this.downstreamPeer = request.connection.peer;
  }

  endsBy({ flag, details }: EndRow): void {
    this.flag = joinFlags(this.#attempts.unretried, flag);
    this.details = details;
  }

  end(steadyMs: number): void {
    this.durationMs = steadyMs - this.startedSteadyMs;
  }

  get endedSteadyMs(): number {
    return this.startedSteadyMs + this.durationMs;
  }

  /** Counts gRPC messages. Only bodies of HTTP/2 can be counted, because they arrive without framing. */
  countRequest(bytes: Buffer, from: number, to: number): void {
    if (this.#request.isHttp2) (this.#requestCounter ??= new GrpcMessageCounter()).add(bytes, from, to);
  }

  countAnswer(bytes: Buffer, from: number, to: number): void {
    if (this.#request.isHttp2) (this.#answerCounter ??= new GrpcMessageCounter()).add(bytes, from, to);
  }

  get requestedServerName(): string {
    const { connection } = this;
    return connection.serverName ?? connection.tls?.serverName ?? "";
  }

  get downstreamLocal(): string {
    return keptAddressText(this.connection.local);
  }

  get downstreamRemote(): string {
    return keptAddressText(this.connection.remote);
  }

  get method(): string {
    return this.#request.method;
  }

  get pathAndQuery(): string {
    return this.#request.pathAndQuery;
  }

  get protocol(): ExchangeRecord["protocol"] {
    return this.#request.protocol;
  }

  get authority(): string {
    return this.#request.authority;
  }

  get requestId(): string {
    return this.#request.requestId;
  }

  get randomId(): RandomUuid | undefined {
    return this.#request.randomId;
  }

  get forwardedFor(): string {
    return this.#request.forwardedFor;
  }

  get userAgent(): string {
    return this.#request.userAgent;
  }

  get isGrpc(): boolean {
    return this.#request.isGrpc;
  }

  get capturedRequest(): readonly string[] {
    return this.#request.captured;
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

  get answeredAfterMs(): number {
    const { answeredAtMs } = this.#answer;
    return answeredAtMs < 0 ? -1 : Math.max(0, answeredAtMs - this.startedSteadyMs);
  }

  get grpcStatus(): string {
    return this.#answer.grpcStatus;
  }

  get trailers(): readonly string[] {
    return this.#answer.receivedTrailers;
  }

  get capturedResponse(): readonly string[] {
    return this.#answer.captured;
  }

  get routeName(): string {
    return this.route?.name ?? "";
  }

  get operation(): string {
    return this.route?.operation ?? "";
  }

  get retries(): number {
    return this.#attempts.retries;
  }

  get cluster(): Cluster | undefined {
    return this.#attempts.cluster;
  }

  get endpoint(): Endpoint | undefined {
    return this.#attempts.endpoint;
  }

  get upstreamEnd(): UpstreamEnd | undefined {
    return this.#attempts.upstreamEnd;
  }

  get upstreamLocal(): string {
    return this.#attempts.upstreamEnd?.text ?? "";
  }

  get transportFailure(): string {
    return this.#attempts.transportFailure;
  }

  get requestMessages(): number {
    return this.isGrpc ? (this.#requestCounter?.messages ?? 0) : 0;
  }

  get responseMessages(): number {
    return this.isGrpc ? (this.#answerCounter?.messages ?? 0) : 0;
  }

  get metadata(): ReadonlyMap<string, unknown> | undefined {
    const metadata = this.filterMetadata;
    return metadata === undefined || metadata.size === 0 ? undefined : metadata;
  }
}
