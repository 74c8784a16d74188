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

/**
 * The maximum number of buffered bytes of a mirrored request. If a mirror reads so slowly that more bytes wait, the
 * proxy gives this copy up.
 */
const maxWaitingBytes = 256 * 1024;
/**
 * The idle time of a copy if the route sets no time limit, as Istio's routes do by default. Nobody waits for a mirror's
 * response, so a copy without a limit would keep its connection forever.
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
  /**
   * The time from the end of the request to the end of the response, in milliseconds. For this and the next field, 0
   * means no limit.
   */
  readonly timeoutMs: number;
  /**
   * The time within which some byte of the request or the response must pass. If neither field sets a limit, {@link
   * unlimitedIdleMs} applies from the end of the request on.
   */
  readonly idleMs: number;
  readonly clock: Clock;
  /** The limit that all copies of the thread share. Absent means {@link shadowLimit}. */
  readonly limit?: ShadowLimit;
}

const noBytes = Buffer.alloc(0);

/**
 * A copy of a request, which is sent to a mirror. Its response is dropped, and it never delays or fails the original
 * request.
 */
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
  /** The request's head. Empty once it is sent. */
  #head: Buffer;
  /** The number of held bytes that this copy last reported to the limit. */
  #countedBytes = 0;
  readonly #isGrpc: boolean;
  #channel: UpstreamChannel | undefined;
  /**
   * The bytes that wait until there is a channel. They are joined into one piece of memory, because a client may send
   * single bytes.
   */
  readonly #waiting = new JoinedBytes();
  /** The number of bytes that wait in the channel. */
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
  /** Whether a byte has passed since the idle time began. */
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

  /** Reports the change in held bytes to the limit of all copies, which may end this copy. */
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
    // Buffer what the mirror does not read at once, and give the copy up above the limit: a mirror must never delay a
    // request.
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

  /** Ends the copy at once, for example because the original request was cancelled. */
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

  /**
   * Ends the copy if no byte passes for the idle time. The check runs at intervals of the idle time, so the copy may
   * end only after up to twice that time.
   */
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

  /**
   * Counts a failure of the mirror's endpoint, as for an original request: the endpoint has received the whole request
   * and has not responded in time.
   */
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
    // Ignore interim responses. As with the original request, they do not count as progress.
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
    // Nothing to do: a copy never asks for another protocol.
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
