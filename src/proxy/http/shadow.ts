import type { Clock } from "../../base/index.ts";
import type { Endpoint } from "../upstream/cluster.ts";
import type { PoolUser } from "../upstream/connection-pool.ts";
import type { ResponseReceiver, UpstreamConnection } from "../upstream/upstream-connection.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";

/** Bytes that a copy of a request may have waiting; a mirror that is slower loses the request. */
const maxWaitingBytes = 256 * 1024;
/** A mirror's answer is waited for this long. */
const maxDurationMs = 15_000;

/** A copy of a request, sent to a mirror. Its answer is read and dropped, and nothing of it delays or fails the request. */
export class Shadow implements PoolUser, ResponseReceiver {
  readonly toHead: boolean;
  readonly toConnect = false;
  readonly wantsPlainBody = false;
  readonly #endpoint: Endpoint;
  #connection: UpstreamConnection | undefined;
  #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #complete = false;
  #over = false;
  readonly #limit: Disposable;

  /** `head` is the request's head for the mirror; bytes of the body follow by {@link body}. */
  constructor(endpoint: Endpoint, head: Buffer, toHead: boolean, clock: Clock) {
    this.#endpoint = endpoint;
    this.#limit = clock.after(maxDurationMs, () => this.abandon());
    this.toHead = toHead;
    endpoint.activeRequests += 1;
    endpoint.counters.requests += 1;
    this.body(head, 0, head.length, false);
    endpoint.pool.acquire(this, false);
  }

  body(bytes: Buffer, from: number, to: number, complete: boolean): void {
    if (this.#over) return;
    this.#complete = complete;
    if (to > from) {
      const copy = Buffer.from(bytes.subarray(from, to));
      if (this.#connection === undefined) {
        this.#waiting.push(copy);
        this.#waitingBytes += copy.length;
      } else this.#connection.stream.write(copy);
    }
    if (this.#waitingBytes + (this.#connection?.stream.bufferedBytes ?? 0) > maxWaitingBytes) this.abandon();
    else if (complete) this.#connection?.requestWritten();
  }

  /** The request was given up. */
  abandon(): void {
    if (this.#over) return;
    const connection = this.#connection;
    if (connection === undefined) this.#endpoint.pool.giveUp(this);
    this.#end();
    connection?.abandon();
  }

  connected(connection: UpstreamConnection): void {
    this.#connection = connection;
    connection.begin(this);
    connection.stream.write(Buffer.concat(this.#waiting));
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#complete) connection.requestWritten();
  }

  connectFailed(): void {
    this.#end();
  }

  interimResponse(): void {
    // Nobody waits for it.
  }

  response(_head: MessageHead, _framing: BodyFraming, _from: number, _to: number, last: boolean): void {
    if (last) this.#end();
  }

  responseBody(_bytes: Buffer, _from: number, _to: number, last: boolean): void {
    if (last) this.#end();
  }

  switched(): void {
    this.abandon();
  }

  switchedBytes(): void {
    // A mirror is never switched to another protocol.
  }

  switchedEnd(): void {
    this.#end();
  }

  upstreamFailed(): void {
    this.#end();
  }

  upstreamDrained(): void {
    // What waits is bounded; there is nobody to hold up.
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#limit[Symbol.dispose]();
    this.#connection = undefined;
    this.#waiting = [];
    this.#endpoint.activeRequests -= 1;
  }
}
