import { JoinedBytes } from "../../../base/joined-bytes/index.ts";
import type { Clock } from "../../../base/index.ts";
import type { Endpoint } from "../../upstream/cluster.ts";
import type { ConnectFailure, PoolUser, WireProtocol } from "../../upstream/pool-user.ts";
import {
  blamesEndpoint,
  type ResponseReceiver,
  type UpstreamChannel,
  type UpstreamFailure,
} from "../../upstream/upstream-channel.ts";
import type { BodyFraming, MessageHead } from "../../../wire/http1/index.ts";
import { judgedStatus } from "../../terms/grpc-call.ts";
import { shadowLimit, type LimitedCopy, type ShadowLimit } from "./shadow-limit.ts";

/** The maximum number of buffered bytes of a mirrored request. A slower mirror loses the request. */
const maxWaitingBytes = 256 * 1024;
/**
 * The idle time of a copy if no other limit applies. Istio's routes have no limit by default. Nobody waits for a
 * mirror's response, so a copy without one would keep its connection forever.
 */
const unlimitedIdleMs = 300_000;

export interface ShadowOptions {
  readonly endpoint: Endpoint;
  /** The request's head. {@link Shadow.body} gets the parts of the body later. */
  readonly head: Buffer;
  readonly toHead: boolean;
  readonly isGrpc: boolean;
  readonly chunksRequest: boolean;
  readonly scheme: string;
  readonly protocol: WireProtocol;
  /** The time from the end of the request to the end of the response. 0 means no limit, also below. */
  readonly timeoutMs: number;
  /** The time within which some byte of the request or response must pass. Five minutes if neither has a limit. */
  readonly idleMs: number;
  readonly clock: Clock;
  /** The limit of all copies of the thread if absent. */
  readonly limit?: ShadowLimit;
}

const noBytes = Buffer.alloc(0);

/** A copy of a request for a mirror. Its response is dropped, and it never delays or fails the request. */
export class Shadow implements PoolUser, ResponseReceiver, LimitedCopy {
  readonly toHead: boolean;
  readonly toConnect = false;
  readonly toUpgrade = false;
  readonly wantsPlainBody = false;
  readonly http1Trailers = false;
  readonly chunksRequest: boolean;
  readonly scheme: string;
  readonly upstreamProtocol: WireProtocol;
  readonly #endpoint: Endpoint;
  isListed = false;
  previous: LimitedCopy | undefined;
  next: LimitedCopy | undefined;
  readonly #copies: ShadowLimit;
  /** Empty once it is sent. */
  #head: Buffer;
  /** What the limit of all copies knows of. */
  #countedBytes = 0;
  readonly #isGrpc: boolean;
  #channel: UpstreamChannel | undefined;
  /** Bytes that wait for the channel, in one piece of memory, because a client may send single bytes. */
  readonly #waiting = new JoinedBytes();
  /** Bytes that wait in the channel. */
  #unreadBytes = 0;
  #isFull = false;
  #trailers: readonly string[] | undefined;
  #complete = false;
  #hasResponse = false;
  #over = false;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  #idleMs: number;
  #limit: Disposable | undefined;
  #idle: Disposable | undefined;
  /** Whether something has passed since the idle time began. */
  #moved = false;

  constructor(options: ShadowOptions) {
    const { endpoint } = options;
    this.#endpoint = endpoint;
    this.#clock = options.clock;
    this.#timeoutMs = options.timeoutMs;
    this.#idleMs = options.idleMs;
    this.#watch();
    this.toHead = options.toHead;
    this.#isGrpc = options.isGrpc;
    this.chunksRequest = options.chunksRequest;
    this.scheme = options.scheme;
    this.upstreamProtocol = options.protocol;
    this.#head = options.head;
    this.#copies = options.limit ?? shadowLimit;
    this.#copies.opened(this);
    const { cluster } = endpoint;
    endpoint.activeRequests += 1;
    endpoint.counters.requests += 1;
    cluster.activeRequests += 1;
    cluster.breaker.requests.force();
    cluster.counters.requests += 1;
    endpoint.pool.acquire(this, false);
    this.#count();
  }

  get heldBytes(): number {
    return this.#over ? 0 : this.#head.length + this.#waiting.length + this.#unreadBytes;
  }

  /** Tells the limit of all copies what has changed. The limit may end this copy. */
  #count(): void {
    const more = this.heldBytes - this.#countedBytes;
    this.#countedBytes += more;
    if (more !== 0) this.#copies.changed(more);
  }

  body(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (this.#over) return;
    this.#moved = true;
    if (complete) this.#completed();
    this.#waiting.add(bytes.subarray(from, to));
    const channel = this.#channel;
    if (channel !== undefined && (complete || !this.#isFull)) this.#flush(channel, complete);
    // A mirror never delays a request. Bytes that the mirror does not read at once are buffered up to the limit.
    if (this.#waiting.length + this.#unreadBytes > maxWaitingBytes) this.abandon();
    this.#count();
  }

  trailers(fields: readonly string[]): void {
    this.#completed();
    this.#trailers = fields;
    const channel = this.#channel;
    if (channel === undefined) return;
    this.#flush(channel, false);
    channel.sendTrailers(fields);
    this.#count();
  }

  #flush(channel: UpstreamChannel, last: boolean): void {
    const bytes = this.#waiting.take();
    this.#wrote(bytes.length, channel.write(bytes, last));
  }

  #wrote(bytes: number, hasRoom: boolean): void {
    if (hasRoom) return;
    this.#isFull = true;
    this.#unreadBytes += bytes;
  }

  /** The original request was cancelled. */
  abandon(): void {
    if (this.#over) return;
    const channel = this.#channel;
    if (channel === undefined) this.#endpoint.pool.giveUp(this);
    this.#end();
    channel?.abandon();
  }

  #completed(): void {
    this.#complete = true;
    this.#moved = true;
    if (this.#over) return;
    if (this.#timeoutMs > 0) this.#limit = this.#clock.after(this.#timeoutMs, () => this.#timedOut());
    else if (this.#idleMs <= 0) {
      this.#idleMs = unlimitedIdleMs;
      this.#watch();
    }
  }

  /** Ends the copy if nothing passes for the idle time, or at most twice that long. */
  #watch(): void {
    if (this.#idleMs <= 0) return;
    this.#idle = this.#clock.after(this.#idleMs, () => {
      if (!this.#moved) this.#timedOut();
      else {
        this.#moved = false;
        this.#watch();
      }
    });
  }

  /** A mirror that has the whole request and gives no response fails, as an endpoint of the request itself would. */
  #timedOut(): void {
    if (this.#complete && this.#channel !== undefined && !this.#hasResponse) this.#endpoint.report({ kind: "timeout" });
    this.abandon();
  }

  connected(channel: UpstreamChannel): void {
    this.#moved = true;
    this.#channel = channel;
    channel.begin(this);
    const head = this.#head;
    const message = Buffer.concat([head, this.#waiting.take()]);
    const trailers = this.#trailers;
    const last = this.#complete && trailers === undefined;
    this.#wrote(message.length - head.length, channel.send(message, head.length, last));
    this.#head = noBytes;
    if (trailers !== undefined) channel.sendTrailers(trailers);
    this.#count();
  }

  connectFailed({ kind }: ConnectFailure): void {
    if (kind === "overflow") this.#endpoint.cluster.counters.overflow += 1;
    else this.#endpoint.report({ kind: kind === "timeout" ? kind : "connect-failure" });
    this.#end();
  }

  interimResponse(): void {
    // Nobody waits for the response. As with the original request, interim responses do not count as progress.
  }

  response(head: MessageHead, _framing: BodyFraming, _from: number, _to: number, last: boolean): void {
    this.#hasResponse = true;
    this.#moved = true;
    const grpcStatus = this.#isGrpc ? head.get("grpc-status") : undefined;
    this.#endpoint.report({ kind: "answer", status: judgedStatus(head.status, grpcStatus) });
    if (last) this.#end();
  }

  responseBody(_bytes: Buffer, _from: number, _to: number, last: boolean): void {
    this.#moved = true;
    if (last) this.#end();
  }

  responseTrailers(): void {
    this.#end();
  }

  switched(): void {
    this.abandon();
  }

  switchedBytes(): void {
    // Mirrors never switch protocols.
  }

  switchedEnd(): void {
    this.#end();
  }

  upstreamFailed(failure: UpstreamFailure): void {
    if (blamesEndpoint(failure, this.#channel)) this.#endpoint.report({ kind: "reset" });
    this.#end();
  }

  upstreamDrained(): void {
    this.#unreadBytes = 0;
    this.#isFull = false;
    if (this.#channel !== undefined && this.#waiting.length > 0) this.#flush(this.#channel, false);
    this.#count();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#copies.closed(this);
    this.#count();
    this.#limit?.[Symbol.dispose]();
    this.#idle?.[Symbol.dispose]();
    this.#channel = undefined;
    this.#waiting.take();
    const { cluster } = this.#endpoint;
    this.#endpoint.activeRequests -= 1;
    cluster.activeRequests -= 1;
    cluster.breaker.requests.give();
  }
}
