import { LinkedList, type Linked } from "../../base/index.ts";
import { defaultHeadLimits, type MessageHead } from "../../wire/http1/index.ts";
import { errorCode } from "../../wire/http2/index.ts";
import type { ByteStream } from "../../net/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import { Http2Connection, type Http2ConnectionHandler } from "../http2/http2-connection.ts";
import { headMalformed, HeadReader } from "../http2/http2-heads.ts";
import { http2Limits } from "../http2/http2-limits.ts";
import type { Http2Stream, Http2StreamHandler } from "../http2/http2-stream.ts";
import type { Answer } from "../http/answer.ts";
import type { ExchangeContext } from "../http/exchange-context.ts";
import { ExchangeMemory } from "../http/exchange-memory.ts";
import type { ExchangeOwner } from "../http/exchange-owner.ts";
import type { ExchangeRequest } from "../http/exchange-request.ts";
import { Exchange } from "../http/exchange.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import { Http2Answer } from "../http/http2-answer.ts";
import { isOver } from "./is-over.ts";
import type { ListenerConnection } from "./listener-connection.ts";

export interface Http2DownstreamOptions {
  readonly stream: ByteStream;
  readonly info: ConnectionInfo;
  readonly context: ExchangeContext;
  readonly onClosed: (connection: ListenerConnection) => void;
}

/** The maximum number of ended streams whose memory is kept for new streams. */
const maxSpareMemories = 32;
const noBytes = Buffer.alloc(0);
/** Reads the heads of all connections. This thread reads one head at a time, so they share its memory. */
const reader = new HeadReader(defaultHeadLimits);

export class Http2DownstreamConnection implements Http2ConnectionHandler, ListenerConnection {
  readonly info: ConnectionInfo;
  readonly context: ExchangeContext;
  readonly #connection: Http2Connection;
  readonly #onClosed: (connection: ListenerConnection) => void;
  readonly #streams = new LinkedList<DownstreamStream>();
  readonly #spare: ExchangeMemory[] = [];
  #idleSinceMs: number;
  readonly #openedAtMs: number;
  isListed = false;
  previous: ListenerConnection | undefined;
  next: ListenerConnection | undefined;

  constructor(options: Http2DownstreamOptions) {
    const { stream, context } = options;
    this.info = options.info;
    this.context = context;
    this.#onClosed = options.onClosed;
    this.#openedAtMs = context.clock.steadyMs();
    this.#idleSinceMs = this.#openedAtMs;
    const config = context.config();
    this.#connection = new Http2Connection({
      stream,
      server: true,
      handler: this,
      clock: context.clock,
      maxHeaderListBytes: config.headLimits.maxHeadBytes,
      maxStreams: Math.min(config.http2.maxConcurrentStreams, http2Limits.acceptedStreams),
      pingIntervalMs: config.http2.keepaliveIntervalMs,
      pingTimeoutMs: config.http2.keepaliveTimeoutMs,
    });
  }

  /** Starts reading. `received` contains bytes that were read before. */
  start(received?: Buffer): void {
    this.#connection.start(received);
  }

  // ---- Http2ConnectionHandler

  opened(stream: Http2Stream): void {
    const downstream = new DownstreamStream(this, stream, this.#spare.pop() ?? new ExchangeMemory());
    this.#streams.add(downstream);
    stream.handler = downstream;
    const { maxRequestsPerConnection } = this.context.config();
    if (maxRequestsPerConnection > 0 && this.#connection.openedStreams >= maxRequestsPerConnection)
      this.#connection.drain();
  }

  goaway(): void {
    // Nothing to do: open streams continue, and the connection closes when they have ended.
  }

  streamsChanged(): void {
    // Nothing to do: each exchange learns of this from its own stream.
  }

  closed(): void {
    this.#onClosed(this);
  }

  // ---- calls from streams

  released(stream: DownstreamStream): void {
    if (!this.#streams.remove(stream)) return;
    if (this.#spare.length < maxSpareMemories) this.#spare.push(stream.memory);
    if (this.#streams.size === 0) this.#idleSinceMs = this.context.clock.steadyMs();
    if (this.context.draining) this.#connection.drain();
  }

  // ---- ListenerConnection

  leave(): void {
    this.#connection.drain();
  }

  closeIfIdle(nowMs: number, quietMs: number): void {
    if (this.#streams.size === 0 && nowMs - this.#idleSinceMs >= quietMs) this.#connection.drain();
  }

  sweep(): void {
    const nowMs = this.context.clock.steadyMs();
    this.#connection.sweep(nowMs);
    const { idleTimeoutMs, maxConnectionMs } = this.context.config();
    const isIdle = this.#streams.size === 0 && idleTimeoutMs > 0 && nowMs - this.#idleSinceMs > idleTimeoutMs;
    if (isIdle || (maxConnectionMs > 0 && nowMs - this.#openedAtMs >= maxConnectionMs)) this.#connection.drain();
    for (const stream of this.#streams) stream.sweep();
  }

  get peer(): string {
    return this.info.remote.address;
  }

  abort(): void {
    this.#connection.destroy(new Error("the proxy closes the connection"));
  }
}

class DownstreamStream implements Http2StreamHandler, ExchangeOwner, Linked<DownstreamStream> {
  readonly #connection: Http2DownstreamConnection;
  readonly #stream: Http2Stream;
  readonly memory: ExchangeMemory;
  #exchange: Exchange | undefined;
  #tunnel = false;
  #released = false;
  // The number of sweeps since a byte last moved, and since the request began. A sweep is a second.
  #quietSweeps = 0;
  #requestSweeps = 0;
  readonly isHttp2 = true;
  isListed = false;
  previous: DownstreamStream | undefined;
  next: DownstreamStream | undefined;

  constructor(connection: Http2DownstreamConnection, stream: Http2Stream, memory: ExchangeMemory) {
    this.#connection = connection;
    this.#stream = stream;
    this.memory = memory;
  }

  get info(): ConnectionInfo {
    return this.#connection.info;
  }

  get context(): ExchangeContext {
    return this.#connection.context;
  }

  createAnswer(config: HttpConnectionConfig, request: ExchangeRequest, keepAlive: boolean): Answer {
    return new Http2Answer(this.#stream, this.context, config, request, keepAlive);
  }

  sweep(): void {
    const { requestTimeoutMs } = this.#connection.context.config();
    this.#quietSweeps += 1;
    this.#requestSweeps += 1;
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    exchange.sweep();
    const late = !this.#tunnel && !this.#stream.remoteEnded && isOver(this.#requestSweeps, requestTimeoutMs);
    if (late || isOver(this.#quietSweeps, exchange.idleLimitMs)) exchange.idleTimeout();
  }

  // ---- Http2StreamHandler

  headers(fields: readonly string[], endStream: boolean): void {
    this.#quietSweeps = 0;
    if (this.#exchange === undefined) this.#begin(fields, endStream);
    else if (endStream) this.#exchange.requestTrailers(fields);
    else this.#malformed();
  }

  data(bytes: Buffer, endStream: boolean): void {
    this.#quietSweeps = 0;
    if (!this.#tunnel) this.#exchange?.requestBody(bytes, 0, bytes.length, endStream);
    else {
      if (bytes.length > 0) this.#exchange?.clientBytes(bytes);
      if (endStream) this.#exchange?.clientEnded();
    }
  }

  drained(): void {
    this.#exchange?.clientDrained();
  }

  aborted(): void {
    this.#exchange?.abandon();
    this.#release();
  }

  // ---- ExchangeOwner

  pauseRequest(): void {
    // The bytes of a released stream have no reader. Do not pause, so that they are dropped and not held.
    if (!this.#released) this.#stream.pause();
  }

  resumeRequest(): void {
    this.#stream.resume();
  }

  upstreamLost(): void {
    this.#stream.isCostly = true;
  }

  exchangeEnded(_keepAlive: boolean, _more: boolean, leaves = false): void {
    if (this.#tunnel) this.#stream.write(noBytes, true);
    this.#stream.leave();
    this.#release();
    if (leaves) this.#connection.leave();
  }

  touch(): void {
    this.#quietSweeps = 0;
  }

  switchToTunnel(): void {
    this.#tunnel = true;
    this.#stream.resume();
  }

  endTunnel(): void {
    this.#stream.write(noBytes, true);
  }

  abort(): void {
    if (this.#released) return;
    this.#stream.reset(errorCode.internalError);
    this.#release();
  }

  #begin(fields: readonly string[], endStream: boolean): void {
    const { headLimits } = this.#connection.context.config();
    const { head } = reader;
    const end = reader.request(fields, endStream, headLimits);
    if (end === headMalformed) {
      this.#malformed();
      return;
    }
    if (end <= 0) {
      const { status, reason } = head.error ?? { status: 400, reason: "bad request" };
      this.#newExchange(undefined, false, true).refuse(status, reason);
      return;
    }
    if (head.contentLength >= 0) this.#stream.expectedBytes = head.contentLength;
    const isConnect = head.method() === "CONNECT";
    // Pause a CONNECT's stream: its bytes wait until the other end of the tunnel is ready.
    if (isConnect) this.#stream.pause();
    this.#newExchange(head, true, endStream || isConnect).begin(head.bytes, end, end);
  }

  #newExchange(head: MessageHead | undefined, keepAlive: boolean, complete: boolean): Exchange {
    const exchange = new Exchange(this, head, keepAlive, complete);
    this.#exchange = exchange;
    return exchange;
  }

  #malformed(): void {
    this.#stream.reset(errorCode.protocolError);
    this.#exchange?.abandon();
    this.#release();
  }

  /**
   * Releases the exchange. The stream itself may still be open, because the last bytes of the response have not left,
   * or because the client still sends.
   */
  #release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#connection.released(this);
  }
}
