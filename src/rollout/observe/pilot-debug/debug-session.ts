import { connect, type ClientHttp2Session } from "node:http2";
import { create, fromBinary, toBinary, type JsonObject } from "@bufbuild/protobuf";
import { afterRunning, type Clock, type SerinError } from "../../../base/index.ts";
import { DiscoveryRequestSchema, DiscoveryResponseSchema } from "../../../wire/discovery/index.ts";
import { formatAuthority } from "../../../wire/hbone/index.ts";
import { debugType } from "../../../wire/xds/index.ts";
import { answered, unreachable } from "./debug-faults.ts";
import type { SessionLimits } from "./debug-limits.ts";
import { DebugStream } from "./debug-stream.ts";
import { provenSocket, type PilotTrust } from "./proven-socket.ts";

/** The HTTP/2 window. With Node's default of 64 kB, a long answer would take many round trips. */
const windowBytes = 4 << 20;
/** The maximum number of parallel streams. While a slow page occupies one stream, other requests use the others. */
const maxStreams = 4;
/**
 * The maximum number of requests that wait for a stream. A step may wait for every gateway of a mesh, and request all
 * of their states at the same time.
 */
const maxWaiting = 4096;

/** The answer of Go's HTTP server for an unknown path. Serin's pilots send the same text. */
const notFound = "404 page not found\n";

/** How the caller identifies itself in a discovery request. The token must be of this namespace and account. */
export interface DebugCaller {
  readonly id: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly token: string;
}

interface Waiting {
  readonly go: () => void;
  readonly fail: (error: SerinError) => void;
}

/**
 * One HTTP/2 connection to a pilot's discovery port. It opens only if the server's certificate proves that it is a
 * pilot, so that no other server gets a token. Streams stay open for further requests, because pilots of upstream Istio
 * limit how many streams open in a second, and proxies need that limit for themselves.
 */
export class DebugSession {
  readonly #session: ClientHttp2Session;
  readonly #where: string;
  readonly #limits: SessionLimits;
  readonly #clock: Clock;
  readonly #idle = new Set<DebugStream>();
  readonly #busy = new Set<DebugStream>();
  readonly #waiting = new Set<Waiting>();
  #idleTimer: Disposable;
  #hasAnswered = false;
  #isExamined = false;

  private constructor(
    session: ClientHttp2Session,
    { where, limits, clock }: { readonly where: string; readonly limits: SessionLimits; readonly clock: Clock },
  ) {
    this.#session = session;
    this.#where = where;
    this.#limits = limits;
    this.#clock = clock;
    session.once("connect", () => session.setLocalWindowSize(2 * windowBytes));
    // Each pending request reports the failure to its own caller.
    session.on("error", () => undefined);
    session.once("goaway", () => this.close());
    session.once("close", () => this.#fail(unreachable(`${where} closed the connection`)));
    session.unref();
    this.#idleTimer = this.#idleAfterAWhile();
  }

  #idleAfterAWhile(): Disposable {
    return this.#clock.after(this.#limits.idleMs, () => {
      if (this.#busy.size === 0) this.close();
      else this.#idleTimer = this.#idleAfterAWhile();
    });
  }

  static async open(
    { address, port }: { readonly address: string; readonly port: number },
    trust: PilotTrust,
    { limits, clock }: { readonly limits: SessionLimits; readonly clock: Clock },
  ): Promise<DebugSession> {
    const where = formatAuthority(address, port);
    const socket = await provenSocket({ host: address, port }, trust, { limitMs: limits.handshakeMs, clock });
    try {
      const session = connect(`https://${where}`, {
        createConnection: () => socket,
        settings: { initialWindowSize: windowBytes, enablePush: false },
      });
      return new DebugSession(session, { where, limits, clock });
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** Accepts no more requests, and lets pending requests end. */
  close(): void {
    this.#idleTimer[Symbol.dispose]();
    this.#endIdle();
    this.#session.close();
    for (const { go } of this.#waiting) go();
  }

  /**
   * Requests a path below `/debug/`. Throws a transient error, for an unknown path with the code `http-status` and the
   * reason 404, and for a refused token with the reason 401. With `mayHaveEnded`, returns undefined if the session has
   * ended, or if the pilot ended a connection or stream that had answered before. Then the caller may try another
   * session.
   */
  async ask(path: string, caller: DebugCaller, mayHaveEnded: false): Promise<string>;
  async ask(path: string, caller: DebugCaller, mayHaveEnded: boolean): Promise<string | undefined>;
  async ask(path: string, caller: DebugCaller, mayHaveEnded: boolean): Promise<string | undefined> {
    const hadAnswered = this.#hasAnswered;
    const stream = await this.#streamFor(caller.token);
    if (stream === undefined) {
      if (mayHaveEnded) return undefined;
      throw unreachable(`${this.#where} closed the connection`);
    }
    const wasUsed = stream.isUsed;
    try {
      const text = textIn(await stream.ask(requestFor(path, caller), this.#limits));
      if (text === undefined) throw unreachable(`${this.#where} sent an answer that is no response of discovery`);
      this.#hasAnswered = true;
      if (text === notFound) throw answered(this.#where, "404");
      return text;
    } catch (error) {
      if (stream.isSilent) this.#examine();
      else if (!stream.isOpen && mayHaveEnded && (wasUsed || (hadAnswered && !stream.hasHeaders))) {
        // The pilot has probably ended the idle streams too.
        this.#endIdle();
        return undefined;
      }
      throw error;
    } finally {
      this.#release(stream);
    }
  }

  async #streamFor(token: string): Promise<DebugStream | undefined> {
    while (this.isOpen && this.#busy.size >= maxStreams) await this.#nextTurn();
    if (!this.isOpen) return undefined;
    let stream: DebugStream | undefined;
    for (const idle of this.#idle) {
      this.#idle.delete(idle);
      if (idle.isOpen && idle.token === token) {
        stream = idle;
        break;
      }
      idle.end(unreachable("the token has changed"));
    }
    stream ??= new DebugStream(this.#session, this.#where, token, this.#clock);
    this.#busy.add(stream);
    return stream;
  }

  async #nextTurn(): Promise<void> {
    const { silenceMs } = this.#limits;
    if (this.#waiting.size >= maxWaiting)
      throw unreachable(`${maxWaiting} questions to ${this.#where} wait for the answers to others`);
    let limit: Disposable | undefined;
    let waiting: Waiting | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        waiting = { go: resolve, fail: reject };
        this.#waiting.add(waiting);
        const fault = unreachable(`${this.#where} did not answer ${maxStreams} earlier questions in ${silenceMs} ms`);
        limit = afterRunning(silenceMs, () => reject(fault), this.#clock);
      });
    } finally {
      limit?.[Symbol.dispose]();
      if (waiting !== undefined) this.#waiting.delete(waiting);
    }
  }

  #release(stream: DebugStream): void {
    this.#busy.delete(stream);
    if (stream.isOpen && this.isOpen) this.#idle.add(stream);
    else stream.end(unreachable("the session has ended"));
    if (this.isOpen) {
      this.#idleTimer[Symbol.dispose]();
      this.#idleTimer = this.#idleAfterAWhile();
    }
    const [next] = this.#waiting;
    if (next === undefined) return;
    this.#waiting.delete(next);
    next.go();
  }

  #endIdle(): void {
    for (const stream of this.#idle) stream.end(unreachable("the stream is idle"));
    this.#idle.clear();
  }

  /**
   * Ends the session if its server gives no sign of life. A slow page alone is no reason to end it, because other pages
   * may be fast.
   */
  #examine(): void {
    const { pingMs } = this.#limits;
    if (this.#isExamined || this.#session.destroyed) return;
    this.#isExamined = true;
    const fault = unreachable(`${this.#where} did not answer a ping in ${pingMs} ms`);
    const limit = afterRunning(pingMs, () => this.#fail(fault), this.#clock);
    const isSent = this.#session.ping(() => {
      limit[Symbol.dispose]();
      this.#isExamined = false;
    });
    if (!isSent) limit[Symbol.dispose]();
  }

  #fail(error: SerinError): void {
    this.#idleTimer[Symbol.dispose]();
    for (const stream of [...this.#busy, ...this.#idle]) stream.end(error);
    this.#idle.clear();
    for (const { fail } of this.#waiting) fail(error);
    this.#session.destroy();
  }
}

function requestFor(path: string, { id, namespace, serviceAccount }: DebugCaller): Uint8Array {
  const metadata: JsonObject = {
    NAMESPACE: namespace,
    SERVICE_ACCOUNT: serviceAccount,
    // Clients that are not proxies send this version. With a low one, pilots would treat them as old proxies.
    ISTIO_VERSION: "65536.65536.65536",
  };
  return toBinary(
    DiscoveryRequestSchema,
    create(DiscoveryRequestSchema, {
      node: { id: `sidecar~0.0.0.0~${id}~${namespace}.svc.cluster.local`, metadata },
      typeUrl: debugType,
      resourceNames: [path],
    }),
  );
}

function textIn(bytes: Uint8Array): string | undefined {
  try {
    const { resources } = fromBinary(DiscoveryResponseSchema, bytes);
    return Buffer.from(resources[0]?.value ?? []).toString("utf8");
  } catch {
    return undefined;
  }
}
