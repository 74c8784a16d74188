import { heldInput, type InputHolder } from "../../dataplane/index.ts";
import { readLargeMessages, type ByteStream, type ByteStreamHandler } from "../../net/index.ts";
import {
  bodyFramings,
  ChunkedScanner,
  headIncomplete,
  headRefused,
  keepsAlive,
  MessageHead,
  requestFraming,
  scanRequestHead,
  type BodyFraming,
} from "../../wire/http1/index.ts";
import type { ConnectionInfo } from "../terms/connection-info.ts";
import type { Answer } from "../http/answer.ts";
import type { ExchangeContext } from "../http/exchange-context.ts";
import { ExchangeMemory } from "../http/exchange-memory.ts";
import type { ExchangeOwner } from "../http/exchange-owner.ts";
import type { ExchangeRequest } from "../http/exchange-request.ts";
import { Exchange } from "../http/exchange.ts";
import { Http1Answer } from "../http/http1-answer.ts";
import type { HttpConnectionConfig } from "../http/http-connection-config.ts";
import { http2Limits } from "../http2/http2-limits.ts";
import { isOver } from "./is-over.ts";
import type { ListenerConnection } from "./listener-connection.ts";
import { keptTrailers } from "../terms/trailers.ts";

/**
 * The head of the current request of any connection. This thread reads one head at a time, so all connections share the
 * memory.
 */
const scratchHead = new MessageHead();

/**
 * The maximum number of bytes that are read and dropped after a response that ends the connection early, so that the
 * client can read that response.
 */
const maxLingerBytes = 1024 * 1024;
/** The number of sweeps (one each second) for which a closing connection still waits for the client to close it. */
const maxLingerSweeps = 5;
/**
 * The number of sweeps that replaces {@link maxLingerSweeps} while a slow client has not taken the whole last response.
 * It is the same time as for HTTP/2. The count starts again whenever a whole write has left, so a response in one large
 * write has this time in total.
 */
const maxFlushSweeps = http2Limits.flushTimeoutMs / 1000;
/** A half-closed tunnel is closed after this many sweeps without a byte. */
const maxHalfClosedSweeps = 60;

/**
 * The number of idle sweeps after which a connection past its maximum age closes. If it is busy, its next response says
 * `connection: close`.
 */
const spentQuietSweeps = 2;

/** Fewer unused bytes than this do not count as held, because the connection itself takes that much memory. */
const leastHeldBytes = 4096;

type State = "head" | "request" | "tunnel" | "closing" | "closed";

export interface DownstreamOptions {
  readonly stream: ByteStream;
  readonly info: ConnectionInfo;
  readonly context: ExchangeContext;
  readonly onClosed: (connection: ListenerConnection) => void;
}

/**
 * One client connection with HTTP/1.1. It parses requests, and serves one exchange at a time. If the client sends more,
 * the bytes wait and reading pauses. A connection therefore buffers at most one read beyond the current request.
 */
export class DownstreamConnection implements ByteStreamHandler, ExchangeOwner, ListenerConnection, InputHolder {
  readonly stream: ByteStream;
  readonly info: ConnectionInfo;
  readonly isHttp2 = false;
  readonly context: ExchangeContext;
  readonly #onClosed: (connection: ListenerConnection) => void;
  #exchange: Exchange | undefined;
  readonly memory = new ExchangeMemory();
  #state: State = "head";
  /** Received bytes that cannot be used yet, for example the beginning of a head. */
  #carry: Buffer | undefined;
  /** How many of the unused bytes count towards the limit of bytes that the process holds for clients. */
  heldBytes = 0;
  #framing: BodyFraming = bodyFramings.none;
  #remaining = 0;
  #chunked: ChunkedScanner | undefined;
  #requestComplete = true;
  #consuming = false;
  #paused = false;
  #backedUp = false;
  #lingered = 0;
  /** How many bytes of the last response had not left at the last sweep. */
  #unsentBytes = 0;
  #halfClosed = false;
  // The number of sweeps since a byte last moved. A sweep is a second, which is exact enough for these limits.
  #quietSweeps = 0;
  #headSweeps = 0;
  #requestSweeps = 0;
  #idleSinceMs: number;
  readonly #openedAtMs: number;
  requests = 0;
  isListed = false;
  previous: ListenerConnection | undefined;
  next: ListenerConnection | undefined;

  constructor(options: DownstreamOptions) {
    this.stream = options.stream;
    this.info = options.info;
    this.context = options.context;
    this.#onClosed = options.onClosed;
    this.#openedAtMs = options.context.clock.steadyMs();
    this.#idleSinceMs = this.#openedAtMs;
  }

  /** Starts reading. `received` contains bytes that were read from the stream before. */
  start(received?: Buffer): void {
    readLargeMessages(this.stream);
    this.stream.setHandler(this);
    if (received !== undefined) this.#take(received);
    if (!this.#paused) this.stream.resume();
  }

  createAnswer(config: HttpConnectionConfig, request: ExchangeRequest, keepAlive: boolean): Answer {
    return new Http1Answer(this.stream, this.context, config, request, keepAlive);
  }

  /** Whether no request is in progress and none has begun to arrive. */
  get idle(): boolean {
    return this.#state === "head" && this.#carry === undefined;
  }

  // ---- ByteStreamHandler

  data(chunk: Buffer): void {
    this.#quietSweeps = 0;
    switch (this.#state) {
      case "tunnel":
        this.#exchange?.clientBytes(chunk);
        return;
      case "closing":
        this.#lingered += chunk.length;
        if (this.#lingered > maxLingerBytes) this.stream.destroy();
        return;
      case "closed":
        return;
      case "head":
      case "request":
        this.#take(chunk);
    }
  }

  end(): void {
    if (this.#state !== "tunnel") {
      this.abort();
      return;
    }
    this.#halfClosed = true;
    this.#exchange?.clientEnded();
  }

  drain(): void {
    this.#backedUp = false;
    if (this.#exchange?.active === true) this.#exchange.clientDrained();
    else this.#resumeConsuming();
  }

  close(): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#keepBytes(undefined);
    try {
      this.#exchange?.abandon();
    } finally {
      this.#onClosed(this);
    }
  }

  // ---- ExchangeOwner

  pauseRequest(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.stream.pause();
  }

  resumeRequest(): void {
    if (!this.#paused || this.#state === "closed") return;
    this.#paused = false;
    this.stream.resume();
  }

  upstreamLost(): void {
    // Nothing to do: this connection ends too, because a part of its request is missing.
  }

  exchangeEnded(keepAlive: boolean, more: boolean): void {
    if (this.#state === "closed") return;
    if (this.#exchange !== undefined) this.#idleSinceMs = this.#exchange.record.endedSteadyMs;
    this.#exchange = undefined;
    this.#backedUp = !more;
    if (keepAlive) {
      this.#state = "head";
      this.#quietSweeps = 0;
      this.#resumeConsuming();
    } else this.#closeAfterAnswer();
  }

  touch(): void {
    this.#quietSweeps = 0;
  }

  switchToTunnel(): void {
    this.#state = "tunnel";
    const early = this.#carry;
    this.#keepBytes(undefined);
    if (early !== undefined) this.#exchange?.clientBytes(early);
    this.resumeRequest();
  }

  endTunnel(): void {
    this.#halfClosed = true;
    this.stream.end();
  }

  get peer(): string {
    return this.info.remote.address;
  }

  abort(): void {
    this.stream.destroy();
    this.close();
  }

  // ---- InputHolder

  get heldStreams(): readonly [DownstreamConnection] {
    return [this];
  }

  shed(): void {
    this.abort();
  }

  #keepBytes(bytes: Buffer | undefined): void {
    this.#carry = bytes;
    const length = bytes?.length ?? 0;
    const held = length < leastHeldBytes ? 0 : length;
    if (held === this.heldBytes) return;
    this.heldBytes = held;
    heldInput.changed(this, held);
  }

  // ---- ListenerConnection

  leave(): void {
    // Nothing to do: while the listener drains, the next response says `connection: close`.
  }

  closeIfIdle(nowMs: number, quietMs: number): void {
    if (this.idle && nowMs - this.#idleSinceMs >= quietMs) this.#closeAfterAnswer();
  }

  /** Called once a second: enforces the time limits that need no precision. */
  sweep(): void {
    const config = this.context.config();
    this.#quietSweeps += 1;
    switch (this.#state) {
      case "head":
        if (this.#carry === undefined) {
          if (isOver(this.#quietSweeps, config.idleTimeoutMs)) this.abort();
          else if (this.#quietSweeps > spentQuietSweeps && this.#isSpent()) this.#closeAfterAnswer();
        } else {
          // A client that never completes its head must not keep its connection forever.
          this.#headSweeps += 1;
          const limitMs = config.headTimeoutMs > 0 ? config.headTimeoutMs : config.idleTimeoutMs;
          if (isOver(this.#headSweeps, limitMs)) this.#refuse(408, "request header timeout");
        }
        return;
      case "request":
        this.#requestSweeps += 1;
        if (!this.#requestComplete && isOver(this.#requestSweeps, config.requestTimeoutMs))
          this.#exchange?.idleTimeout();
        else if (isOver(this.#quietSweeps, this.#exchange?.idleLimitMs ?? 0)) this.#exchange?.idleTimeout();
        return;
      case "closing":
        this.#noteFlush();
        if (this.#quietSweeps > (this.#unsentBytes > 0 ? maxFlushSweeps : maxLingerSweeps)) this.abort();
        return;
      case "tunnel":
        if (isOver(this.#quietSweeps, this.#exchange?.idleLimitMs ?? 0)) this.#exchange?.idleTimeout();
        else if (this.#halfClosed && this.#quietSweeps > maxHalfClosedSweeps) this.abort();
        return;
      case "closed":
    }
  }

  /** Whether the connection takes no further request, because it is too old or has served too many. */
  #isSpent(): boolean {
    const { maxConnectionMs, maxRequestsPerConnection } = this.context.config();
    if (maxRequestsPerConnection > 0 && this.requests >= maxRequestsPerConnection) return true;
    return maxConnectionMs > 0 && this.context.clock.steadyMs() - this.#openedAtMs >= maxConnectionMs;
  }

  /**
   * Starts the wait again if the client has taken a whole write of the last response. The stream does not report parts
   * of a write.
   */
  #noteFlush(): void {
    const { bufferedBytes } = this.stream;
    if (bufferedBytes < this.#unsentBytes) this.#quietSweeps = 0;
    this.#unsentBytes = bufferedBytes;
  }

  // ---- the bytes

  #take(chunk: Buffer): void {
    if (this.#carry === undefined) {
      this.#consume(chunk);
      return;
    }
    const searchFrom = Math.max(0, this.#carry.length - 3);
    const joined = Buffer.concat([this.#carry, chunk]);
    // Scan a head that arrives in pieces only after its end has arrived, so that long heads are not scanned again for
    // each piece.
    const mayBeWhole =
      this.#state !== "head" ||
      joined.indexOf("\r\n\r\n", searchFrom) >= 0 ||
      joined.length > this.context.config().headLimits.maxHeadBytes;
    if (mayBeWhole) {
      this.#keepBytes(undefined);
      this.#consume(joined);
    } else this.#keepBytes(joined);
  }

  /** Processes as many bytes as possible, and keeps a copy of the rest. */
  #consume(bytes: Buffer): void {
    this.#consuming = true;
    let at = 0;
    while (at < bytes.length && (this.#state === "head" || this.#state === "request") && !this.#backedUp) {
      const next = this.#state === "head" ? this.#head(bytes, at) : this.#body(bytes, at);
      if (next < 0) break;
      at = next;
    }
    this.#consuming = false;
    if (at < bytes.length) this.#keep(bytes, at);
  }

  #keep(bytes: Buffer, from: number): void {
    if (this.#state === "tunnel") this.#exchange?.clientBytes(bytes.subarray(from));
    else if (this.#state === "head" || this.#state === "request") {
      this.#keepBytes(Buffer.from(bytes.subarray(from)));
      if (this.#state === "request" || this.#backedUp) this.pauseRequest();
    }
  }

  #resumeConsuming(): void {
    if (this.#consuming || this.#backedUp || this.#state !== "head") return;
    const carry = this.#carry;
    if (carry !== undefined) {
      this.#keepBytes(undefined);
      this.#consume(carry);
    }
    if (this.#state === "head" && !this.#backedUp) this.resumeRequest();
  }

  /** Scans a head. Returns how many bytes it used, or -1 if the head is incomplete or was rejected. */
  #head(bytes: Buffer, from: number): number {
    const { headLimits } = this.context.config();
    const after = scanRequestHead(scratchHead, bytes, from, bytes.length, headLimits);
    if (after === headIncomplete) return -1;
    if (after === headRefused) {
      const { status, reason } = scratchHead.error ?? { status: 400, reason: "bad request" };
      this.#refuse(status, reason);
      return -1;
    }
    this.requests += 1;
    this.#headSweeps = 0;
    this.#requestSweeps = 0;
    this.#framing = requestFraming(scratchHead);
    this.#remaining = this.#framing === bodyFramings.length ? scratchHead.contentLength : 0;
    if (this.#framing === bodyFramings.chunked) {
      this.#chunked ??= new ChunkedScanner();
      this.#chunked.reset();
      this.#chunked.keepsTrailers = this.context.config().http1Trailers;
    }
    const to = this.#extent(bytes, after);
    if (to < 0) return -1;
    this.#requestComplete = this.#complete();
    this.#state = "request";
    const body = this.#withoutHop(bytes, after, to);
    const exchange = this.#newExchange(scratchHead, keepsAlive(scratchHead) && !this.#isSpent());
    if (body === undefined) exchange.begin(bytes, after, to);
    else exchange.begin(body, 0, body.length);
    return to;
  }

  #body(bytes: Buffer, from: number): number {
    if (this.#requestComplete) return -1;
    const to = this.#extent(bytes, from);
    if (to < 0) return -1;
    this.#requestComplete = this.#complete();
    const body = this.#withoutHop(bytes, from, to);
    if (body === undefined) this.#exchange?.requestBody(bytes, from, to, this.#requestComplete);
    else this.#exchange?.requestBody(body, 0, body.length, this.#requestComplete);
    return to;
  }

  /**
   * Removes the parts of a chunked body that a proxy does not forward: chunk extensions and, unless the configuration
   * lets them pass, trailers. Returns undefined if the body passes unchanged.
   */
  #withoutHop(bytes: Buffer, from: number, to: number): Buffer | undefined {
    const scanner = this.#framing === bodyFramings.chunked ? this.#chunked : undefined;
    return scanner?.kept(bytes, from, to, keptTrailers(scanner));
  }

  /** Returns where the body ends in these bytes, or -1 if its framing is invalid. The request has then been ended. */
  #extent(bytes: Buffer, from: number): number {
    if (this.#framing === bodyFramings.length) {
      const take = Math.min(this.#remaining, bytes.length - from);
      this.#remaining -= take;
      return from + take;
    }
    if (this.#framing !== bodyFramings.chunked) return from;
    const to = this.#chunked?.scan(bytes, from, bytes.length) ?? from;
    if (this.#chunked?.bad !== true) return to;
    if (this.#exchange?.active === true) this.#exchange.badBody();
    else this.#refuse(400, "bad chunked framing");
    return -1;
  }

  #complete(): boolean {
    if (this.#framing === bodyFramings.length) return this.#remaining === 0;
    return this.#framing !== bodyFramings.chunked || this.#chunked?.done === true;
  }

  #refuse(status: number, reason: string): void {
    this.#requestComplete = true;
    this.#keepBytes(undefined);
    this.#state = "request";
    this.#newExchange(undefined, false).refuse(status, reason);
  }

  #newExchange(head: MessageHead | undefined, keepAlive: boolean): Exchange {
    const exchange = new Exchange(this, head, keepAlive, this.#requestComplete);
    this.#exchange = exchange;
    return exchange;
  }

  /**
   * Ends our side and continues to read for a while. Closing with unread bytes would reset the connection and lose the
   * response.
   */
  #closeAfterAnswer(): void {
    this.#state = "closing";
    this.#keepBytes(undefined);
    this.#quietSweeps = 0;
    this.stream.end();
    this.#paused = true;
    this.resumeRequest();
  }
}
