import { messageOf, transientError, onAbort, type Clock } from "../../base/index.ts";
import type { ByteStreamHandler, SecureStream } from "../../net/index.ts";
import type { Headers } from "../../wire/hbone/index.ts";
import { errorCode } from "../../wire/http2/index.ts";
import type { HboneConnectOptions, HboneTunnel } from "./hbone-types.ts";
import { hboneLimits } from "./limits.ts";
import { pairsOf, statusOf } from "./request-fields.ts";
import { TunnelConnection, type TunnelConnectionHandler } from "./tunnel-connection.ts";
import type { TunnelStream } from "./tunnel-stream.ts";

export interface HboneClientConnectionOptions {
  readonly stream: SecureStream;
  readonly clock: Clock;
  readonly onClosed: () => void;
  /** Whether the transport below will end soon, so that tunnels through it should be released too. */
  readonly isRetiringBelow?: () => boolean;
}

/** A CONNECT without an answer yet. */
interface Pending {
  readonly resolve: (headers: Headers) => void;
  readonly reject: (error: Error) => void;
}

/** One pooled connection. Opens tunnels, retires on GOAWAY, and ends after its idle time. */
export class HboneClientConnection implements TunnelConnectionHandler {
  readonly #connection: TunnelConnection;
  readonly #clock: Clock;
  readonly #onClosed: () => void;
  readonly #isRetiringBelow: () => boolean;
  readonly #pending = new Map<TunnelStream, Pending>();
  #idleTimer: Disposable | undefined;
  #retired = false;
  #opened = 0;

  constructor(options: HboneClientConnectionOptions) {
    this.#clock = options.clock;
    this.#onClosed = options.onClosed;
    this.#isRetiringBelow = options.isRetiringBelow ?? (() => false);
    this.#connection = new TunnelConnection({
      stream: options.stream,
      server: false,
      handler: this,
      clock: options.clock,
    });
  }

  start(): void {
    this.#connection.start();
    this.#armIdle();
  }

  get openedStreams(): number {
    return this.#opened;
  }

  get takesStreams(): boolean {
    return !this.#retired && this.#connection.takesStream;
  }

  /** Accepts no new streams, and asks users of reusable tunnels to release them. Ends with the last stream. */
  retire(): void {
    this.#retired = true;
    this.#connection.drain();
  }

  /** Accepts no new streams. Ends with the last one, which may be kept as long as it is useful. */
  takeNoMore(): void {
    this.#connection.drain();
  }

  async open(options: HboneConnectOptions, timeoutMs: number): Promise<HboneTunnel> {
    if (options.signal?.aborted === true) throw transientError("aborted", "the connect was given up");
    this.#opened += 1;
    this.#idleTimer?.[Symbol.dispose]();
    const stream = this.#connection.open([
      ":method",
      "CONNECT",
      ":authority",
      options.authority,
      ...options.headers.flat(),
    ]);
    const responseHeaders = await this.#answer(stream, options, timeoutMs);
    stream.peerIdentity = this.#connection.peerIdentity;
    stream.responseHeaders = responseHeaders;
    stream.isRetiring = () => this.#retired || this.#isRetiringBelow();
    return stream;
  }

  #answer(stream: TunnelStream, options: HboneConnectOptions, timeoutMs: number): Promise<Headers> {
    const { promise, resolve, reject } = Promise.withResolvers<Headers>();
    this.#pending.set(stream, { resolve, reject });
    stream.setHandler(new AnswerHandler(reject));
    const giveUp = (error: Error) => {
      this.#pending.delete(stream);
      stream.destroy({ reset: true });
      reject(error);
    };
    const timer = this.#clock.after(timeoutMs, () =>
      giveUp(transientError("timeout", `no answer to CONNECT ${options.authority} within ${Math.round(timeoutMs)} ms`)),
    );
    const abort = onAbort(options.signal, () => giveUp(transientError("aborted", "the connect was given up")));
    return promise.finally(() => {
      timer[Symbol.dispose]();
      abort[Symbol.dispose]();
      this.#pending.delete(stream);
    });
  }

  headers(stream: TunnelStream, fields: readonly string[], endStream: boolean): void {
    const pending = this.#pending.get(stream);
    if (pending === undefined) {
      if (endStream) stream.endReceived();
      return;
    }
    const headers = pairsOf(fields);
    const status = statusOf(headers);
    if (status >= 100 && status < 200) return;
    this.#pending.delete(stream);
    if (status === 200) {
      // The caller that awaits the answer sets the handler. Until then the stream is paused and queues data.
      stream.setHandler(new AnswerHandler(() => undefined));
      pending.resolve(headers.filter(([name]) => !name.startsWith(":")));
      if (endStream) stream.endReceived();
      return;
    }
    if (!endStream) this.#connection.session.reset(stream, errorCode.cancel);
    stream.abort(undefined);
    pending.reject(transientError("http-status", `http status: ${statusText(status)}`));
  }

  goaway(): void {
    this.#retired = true;
  }

  idle(): void {
    if (!this.#connection.draining) this.#armIdle();
  }

  connectionClosed(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#retired = true;
    this.#onClosed();
  }

  #armIdle(): void {
    this.#idleTimer?.[Symbol.dispose]();
    this.#idleTimer = this.#clock.after(hboneLimits.idleMs, () => this.retire());
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
