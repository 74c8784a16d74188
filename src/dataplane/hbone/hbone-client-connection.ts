import { messageOf, SharedTimeouts, transientError, onAbort, type Clock } from "../../base/index.ts";
import type { ByteStream, ByteStreamHandler, SecureStream } from "../../net/index.ts";
import { errorCode } from "../../wire/http2/index.ts";
import type { HboneConnectOptions, HboneTunnel } from "./hbone-types.ts";
import { hboneLimits } from "./limits.ts";
import { statusOf } from "./request-fields.ts";
import { TunnelConnection, type TunnelConnectionHandler } from "./tunnel-connection.ts";
import type { PendingAnswer, TunnelStream } from "./tunnel-stream.ts";

export interface HboneClientConnectionOptions {
  readonly stream: ByteStream & Partial<Pick<SecureStream, "peerIdentity">>;
  readonly clock: Clock;
  readonly onClosed: () => void;
  /** Shared by the connections of a pool. */
  readonly timeouts?: SharedTimeouts;
  /** Whether the underlying transport will end soon, so that tunnels through it should be released too. */
  readonly isRetiringBelow?: (() => boolean) | undefined;
}

/** One pooled connection. Opens tunnels, retires on GOAWAY, and ends after its idle time. */
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

  /** The time on the steady clock since which it has had no stream. Undefined if it has one, or takes no more. */
  get idleSinceMs(): number | undefined {
    return this.takesStreams && this.#connection.activeStreams === 0 ? this.#idleSinceMs : undefined;
  }

  /** Ends as soon as it has no stream. If it has not had any yet, it waits for the first one. */
  endWhenIdle(): void {
    this.#mayBeIdle = false;
    if (this.#opened > 0 && this.#connection.activeStreams === 0) this.retire();
  }

  /** Accepts no new streams, and asks users of reusable tunnels to release them. Ends with the last stream. */
  retire(): void {
    this.#retired = true;
    this.#connection.drain();
  }

  /** Accepts no new streams. Ends with the last stream, which may be kept as long as it is useful. */
  takeNoMore(): void {
    this.#connection.drain();
  }

  open(options: HboneConnectOptions, timeoutMs: number): Promise<HboneTunnel> {
    return this.openBy([":method", "CONNECT", ":authority", options.authority], options, timeoutMs);
  }

  /** Opens a tunnel by a request with these pseudo-fields (names and values in turn). */
  openBy(
    request: readonly string[],
    options: Pick<HboneConnectOptions, "authority" | "headers" | "signal">,
    timeoutMs: number,
  ): Promise<HboneTunnel> {
    if (options.signal?.aborted === true)
      return Promise.reject(transientError("aborted", "the connection attempt was cancelled"));
    this.#opened += 1;
    const fields = [...request];
    for (const [name, value] of options.headers) fields.push(name, value);
    return this.#answer(this.#connection.open(fields), options, timeoutMs);
  }

  #answer(
    stream: TunnelStream,
    options: Pick<HboneConnectOptions, "authority" | "signal">,
    timeoutMs: number,
  ): Promise<HboneTunnel> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        this.#settled(stream);
        reject(error);
      };
      const giveUp = (error: Error) => {
        stream.destroy({ reset: true });
        fail(error);
      };
      const timer = this.#timeouts.after(timeoutMs, () =>
        giveUp(
          transientError("timeout", `no answer to CONNECT ${options.authority} within ${Math.round(timeoutMs)} ms`),
        ),
      );
      const { signal } = options;
      const aborted = () => giveUp(transientError("aborted", "the connection attempt was cancelled"));
      const limits = signal === undefined ? [timer] : [timer, onAbort(signal, aborted)];
      stream.pendingAnswer = { resolve, reject, limits };
      stream.setHandler(new AnswerHandler(fail));
    });
  }

  /** Returns the waiter for the answer, if there is one, and removes it. */
  #settled(stream: TunnelStream): PendingAnswer | undefined {
    const pending = stream.pendingAnswer;
    if (pending === undefined) return undefined;
    stream.pendingAnswer = undefined;
    for (const limit of pending.limits) limit[Symbol.dispose]();
    return pending;
  }

  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    if (stream.pendingAnswer === undefined) {
      if (endStream) stream.endReceived();
      return;
    }
    const status = statusOf(fields);
    if (status >= 100 && status < 200) return;
    const pending = this.#settled(stream);
    if (pending === undefined) return;
    if (status === 200) {
      // The caller that awaits the answer sets the handler. Until then the stream is paused and queues data.
      stream.setHandler(answered);
      stream.peerIdentity = this.#connection.peerIdentity;
      stream.responseFields = fields;
      stream.isRetiring = this.#isRetiring;
      pending.resolve(stream);
      if (endStream) stream.endReceived();
      return;
    }
    if (!endStream) this.#connection.session.reset(stream, errorCode.cancel);
    stream.abort(undefined);
    pending.reject(transientError("http-status", `http status: ${statusText(status)}`, { reason: String(status) }));
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

  /** One timer serves all idle times. When it is due, it continues for the remaining time of the last one. */
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

/** Owns a stream between CONNECT and its new owner's handler. Only the end of the stream can occur in that time. */
class AnswerHandler implements ByteStreamHandler {
  readonly #fail: (error: Error) => void;

  constructor(fail: (error: Error) => void) {
    this.#fail = fail;
  }

  data(): void {}
  end(): void {}
  drain(): void {}
  close(error: Error | undefined): void {
    if (error !== undefined && "code" in error && error.code === "tunnel-refused") this.#fail(error);
    else
      this.#fail(
        transientError(
          "tunnel-unanswered",
          `the peer closed before it answered CONNECT: ${messageOf(error ?? "no reason")}`,
          { cause: error },
        ),
      );
  }
}

const answered = new AnswerHandler(() => undefined);

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
