import { messageOf, SharedTimeouts, transientError, onAbort, type Clock } from "../../base/index.ts";
import type { ByteStream, ByteStreamHandler, SecureStream } from "../../net/index.ts";
import { errorCode, HeaderBlock } from "../../wire/http2/index.ts";
import type { HboneConnectOptions, HboneTunnel } from "./hbone-types.ts";
import { hboneLimits } from "./limits.ts";
import { statusOf } from "./request-fields.ts";
import { TunnelConnection, type TunnelConnectionHandler } from "./tunnel-connection.ts";
import type { PendingAnswer, TunnelStream } from "./tunnel-stream.ts";

export interface HboneClientConnectionOptions {
  readonly stream: ByteStream & Partial<Pick<SecureStream, "peerIdentity">>;
  readonly clock: Clock;
  readonly onClosed: () => void;
  /** The timers that all connections of a pool share. */
  readonly timeouts?: SharedTimeouts;
  /** Whether the underlying transport will end soon, so that tunnels through it should be released too. */
  readonly isRetiringBelow?: (() => boolean) | undefined;
}

/** Encodes the head of a request. The output copies it before the next request begins, so all connections share it. */
const head = new HeaderBlock();

/** A connection of a pool. It opens tunnels, accepts no new ones after GOAWAY, and ends after its idle time. */
export class HboneClientConnection implements TunnelConnectionHandler {
  readonly #connection: TunnelConnection;
  readonly #clock: Clock;
  readonly #onClosed: () => void;
  readonly #isRetiringBelow: () => boolean;
  readonly #timeouts: SharedTimeouts;
  readonly #isRetiring = (): boolean => this.#retired || this.#isRetiringBelow();
  #idleTimer: Disposable | undefined;
  #idleSinceMs = 0;
  #retired = false;
  #mayBeIdle = true;
  #opened = 0;

  constructor(options: HboneClientConnectionOptions) {
    this.#clock = options.clock;
    this.#timeouts = options.timeouts ?? new SharedTimeouts(options.clock);
    this.#onClosed = options.onClosed;
    this.#isRetiringBelow = options.isRetiringBelow ?? (() => false);
    this.#connection = new TunnelConnection({
      stream: options.stream,
      peerIdentity: options.stream.peerIdentity ?? "",
      server: false,
      handler: this,
      clock: options.clock,
    });
  }

  start(): void {
    this.#connection.start();
    this.idle();
  }

  get openedStreams(): number {
    return this.#opened;
  }

  get takesStreams(): boolean {
    return !this.#retired && this.#connection.takesStream;
  }

  /**
   * The steady time since which the connection has had no stream. It is undefined if it has a stream or accepts no
   * more.
   */
  get idleSinceMs(): number | undefined {
    return this.takesStreams && this.#connection.activeStreams === 0 ? this.#idleSinceMs : undefined;
  }

  /** Ends the connection as soon as it has no stream. A connection that has not had any waits for its first stream. */
  endWhenIdle(): void {
    this.#mayBeIdle = false;
    if (this.#opened > 0 && this.#connection.activeStreams === 0) this.retire();
  }

  /**
   * Accepts no new streams, and asks users of reusable tunnels to release them. The connection ends with its last
   * stream.
   */
  retire(): void {
    this.#retired = true;
    this.#connection.drain();
  }

  /** Accepts no new streams. The connection ends with its last stream, which its user may keep. */
  takeNoMore(): void {
    this.#connection.drain();
  }

  open(options: HboneConnectOptions, timeoutMs: number): Promise<HboneTunnel> {
    return this.openBy([":method", "CONNECT", ":authority", options.authority], options, timeoutMs);
  }

  /** Opens a tunnel with a request that has these pseudo-fields (alternating names and values). */
  openBy(
    request: readonly string[],
    options: Pick<HboneConnectOptions, "authority" | "headers" | "signal">,
    timeoutMs: number,
  ): Promise<HboneTunnel> {
    if (options.signal?.aborted === true)
      return Promise.reject(transientError("aborted", "the connection attempt was cancelled"));
    this.#opened += 1;
    head.begin();
    for (let index = 0; index < request.length; index += 2) head.field(request[index] ?? "", request[index + 1] ?? "");
    for (const [name, value] of options.headers) head.field(name, value);
    return this.#answer(this.#connection.open(head.view()), options, timeoutMs);
  }

  #answer(
    stream: TunnelStream,
    { authority, signal }: Pick<HboneConnectOptions, "authority" | "signal">,
    timeoutMs: number,
  ): Promise<HboneTunnel> {
    return new Promise((resolve, reject) => {
      const awaited = new AwaitedAnswer(stream, resolve, reject);
      const timer = this.#timeouts.after(timeoutMs, () =>
        awaited.giveUp(
          transientError("timeout", `no answer to CONNECT ${authority} within ${Math.round(timeoutMs)} ms`),
        ),
      );
      awaited.start(timer, signal);
    });
  }

  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    const pending = stream.pendingAnswer;
    if (pending === undefined) {
      if (endStream) stream.endReceived();
      return;
    }
    const status = statusOf(fields);
    if (status >= 100 && status < 200) return;
    if (status === 200) {
      // Set a handler that does nothing. The caller that awaits the answer sets its own handler later. Until then, the
      // stream is paused and queues data.
      stream.setHandler(answered);
      stream.peerIdentity = this.#connection.peerIdentity;
      stream.responseFields = fields;
      stream.isRetiring = this.#isRetiring;
      pending.accepted();
      if (endStream) stream.endReceived();
      return;
    }
    if (!endStream) this.#connection.session.reset(stream, errorCode.cancel);
    stream.abort(undefined);
    pending.failed(transientError("http-status", `http status: ${statusText(status)}`, { reason: String(status) }));
  }

  goaway(): void {
    this.#retired = true;
  }

  idle(): void {
    if (this.#connection.draining) return;
    if (!this.#mayBeIdle) return this.retire();
    this.#idleSinceMs = this.#clock.steadyMs();
    if (this.#idleTimer === undefined) this.#armIdle(hboneLimits.idleMs);
  }

  connectionClosed(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#retired = true;
    this.#onClosed();
  }

  /**
   * Starts the timer of the idle time. The timer is not restarted for each stream. When it expires, it continues for
   * the time that is left.
   */
  #armIdle(ms: number): void {
    this.#idleTimer = this.#clock.after(ms, () => {
      this.#idleTimer = undefined;
      if (this.#connection.activeStreams > 0) return;
      const leftMs = this.#idleSinceMs + hboneLimits.idleMs - this.#clock.steadyMs();
      if (leftMs > 0) this.#armIdle(leftMs);
      else this.retire();
    });
  }
}

/**
 * Waits for the answer to a CONNECT. Meanwhile it is the stream's handler too, and only the end of the stream can
 * arrive. One object has both roles, because each tunnel needs one.
 */
class AwaitedAnswer implements PendingAnswer, ByteStreamHandler {
  readonly #stream: TunnelStream;
  readonly #resolve: (stream: TunnelStream) => void;
  readonly #reject: (error: Error) => void;
  #timer: Disposable | undefined;
  #abort: Disposable | undefined;

  constructor(stream: TunnelStream, resolve: (stream: TunnelStream) => void, reject: (error: Error) => void) {
    this.#stream = stream;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  start(timer: Disposable, signal: AbortSignal | undefined): void {
    this.#timer = timer;
    if (signal !== undefined)
      this.#abort = onAbort(signal, () =>
        this.giveUp(transientError("aborted", "the connection attempt was cancelled")),
      );
    this.#stream.pendingAnswer = this;
    this.#stream.setHandler(this);
  }

  accepted(): void {
    this.#end();
    this.#resolve(this.#stream);
  }

  failed(error: Error): void {
    this.#end();
    this.#reject(error);
  }

  giveUp(error: Error): void {
    this.#stream.destroy({ reset: true });
    this.failed(error);
  }

  #end(): void {
    this.#stream.pendingAnswer = undefined;
    this.#timer?.[Symbol.dispose]();
    this.#abort?.[Symbol.dispose]();
  }

  data(): void {}
  end(): void {}
  drain(): void {}
  close(error: Error | undefined): void {
    if (error !== undefined && "code" in error && error.code === "tunnel-refused") this.failed(error);
    else
      this.failed(
        transientError(
          "tunnel-unanswered",
          `the peer closed before it answered CONNECT: ${messageOf(error ?? "no reason")}`,
          { cause: error },
        ),
      );
  }
}

const answered: ByteStreamHandler = { data() {}, end() {}, drain() {}, close() {} };

const statusNames = new Map([
  [400, "400 Bad Request"],
  [401, "401 Unauthorized"],
  [403, "403 Forbidden"],
  [404, "404 Not Found"],
  [503, "503 Service Unavailable"],
]);

function statusText(status: number): string {
  return statusNames.get(status) ?? String(status);
}
