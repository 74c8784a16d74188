import {
  connect,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
} from "node:http2";
import { invariant, onAbort, type Clock } from "../base/index.ts";
import type { Credentials } from "./credentials.ts";
import { Http1Transport } from "./http1-transport.ts";
import type { KubeConfig } from "./kube-config.ts";
import { dialTls, unreachable, type Transport, type TransportRequest, type TransportResponse } from "./transport.ts";

/** The receive window of a stream. With the default of 64 kB, a long list would stall while watches are open. */
const streamWindowBytes = 4 << 20;
const sessionWindowBytes = 16 << 20;
/**
 * The interval of pings. A watch may be silent for minutes, and only a ping shows whether the server is still alive.
 */
const pingIntervalMs = 30_000;
const pingTimeoutMs = 15_000;
/**
 * The maximum number of sessions that a request tries. It tries another if a session ends before the request is sent.
 */
const maxAttempts = 3;

/**
 * The number of concurrent streams that a server is assumed to allow until its settings arrive. It is Kubernetes'
 * default, and Go's clients assume the same.
 */
const assumedStreams = 100;

/**
 * Sends all requests and watches of a client over as few HTTP/2 connections as possible, usually one. Compared with one
 * connection for each watch, 30 watches start in a quarter of the time, and the client needs half the CPU.
 *
 * A new connection is opened if the last one has ended, or if the server allows no further stream on it. Otherwise a
 * request would wait until a watch ends. A connection keeps the process alive only while it has a request.
 */
export class Http2Transport implements Transport {
  readonly #config: KubeConfig;
  readonly #credentials: Credentials;
  readonly #clock: Clock;
  #session: Promise<ClientHttp2Session> | undefined;
  #fallback: Http1Transport | undefined;
  /**
   * Sessions that get no new requests, because the certificate has changed or they are full. Their open streams
   * continue.
   */
  readonly #former = new Set<ClientHttp2Session>();

  constructor(config: KubeConfig, credentials: Credentials, clock: Clock) {
    this.#config = config;
    this.#credentials = credentials;
    this.#clock = clock;
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    for (let attempt = 1; ;) {
      request.signal?.throwIfAborted();
      const pending = (this.#session ??= this.#open());
      const session = await unlessAborted(this.#opened(pending), request.signal);
      if (session === undefined) return await this.#overHttp1(request);
      request.signal?.throwIfAborted();
      // The session may have ended after it was opened. Nothing has been sent on it, so another one can be used.
      const isLive = !session.destroyed && !session.closed;
      if (isLive ? !isFull(session) : attempt === maxAttempts) return await this.#exchange(session, request);
      if (this.#session === pending) {
        this.#session = undefined;
        if (isLive) this.#keep(session);
      }
      if (!isLive) attempt += 1;
    }
  }

  /** Returns the opened session, or undefined if the server does not support HTTP/2. */
  async #opened(pending: Promise<ClientHttp2Session>): Promise<ClientHttp2Session | undefined> {
    try {
      return await pending;
    } catch (error) {
      if (this.#session === pending) this.#session = undefined;
      if (this.#fallback !== undefined) return undefined;
      throw error;
    }
  }

  async #overHttp1(request: TransportRequest): Promise<TransportResponse> {
    invariant(this.#fallback !== undefined, "the server does not support HTTP/2, so HTTP/1.1 is used");
    return await this.#fallback.send(request);
  }

  renew(): void {
    this.#fallback?.renew();
    const former = this.#session;
    this.#session = undefined;
    // This waits for the session's open streams.
    void former?.then(
      (session) => {
        if (session.closed) return;
        this.#keep(session);
        session.close();
      },
      () => undefined,
    );
  }

  /** Remembers a session that gets no new requests, until it closes. */
  #keep(session: ClientHttp2Session): void {
    this.#former.add(session);
    session.once("close", () => this.#former.delete(session));
  }

  close(): void {
    void this.#session?.then(
      (session) => session.destroy(),
      () => undefined,
    );
    this.#session = undefined;
    for (const session of this.#former) session.destroy();
    this.#fallback?.close();
  }

  async #open(): Promise<ClientHttp2Session> {
    const { clientCertificate } = await this.#credentials.current();
    const socket = await dialTls(this.#config, clientCertificate, ["h2", "http/1.1"]);
    if (socket.alpnProtocol !== "h2") {
      socket.destroy();
      this.#fallback = new Http1Transport(this.#config, this.#credentials);
      throw unreachable(this.#config, new Error("the server does not speak HTTP/2"));
    }
    const session = connect(this.#config.server, {
      createConnection: () => socket,
      settings: { initialWindowSize: streamWindowBytes, enablePush: false },
    });
    session.once("connect", () => session.setLocalWindowSize(sessionWindowBytes));
    const retire = (): void => this.#retire(session);
    session.once("goaway", retire);
    session.once("close", retire);
    // The open streams report the error to their own callers.
    session.on("error", retire);
    session.unref();
    this.#watchOver(session);
    return session;
  }

  #retire(session: ClientHttp2Session): void {
    const current = this.#session;
    void current?.then(
      (open) => {
        if (open === session && this.#session === current) this.#session = undefined;
      },
      () => undefined,
    );
  }

  /**
   * Sends pings while the session is open. Destroys the session, so that its streams fail, if a ping is not answered in
   * time.
   */
  #watchOver(session: ClientHttp2Session): void {
    this.#clock.after(pingIntervalMs, () => {
      if (session.destroyed) return;
      const deadline = this.#clock.after(pingTimeoutMs, () =>
        session.destroy(new Error(`the API server did not answer a ping within ${pingTimeoutMs} ms`)),
      );
      session.ping((error) => {
        deadline[Symbol.dispose]();
        if (error === null) this.#watchOver(session);
      });
    });
  }

  async #exchange(session: ClientHttp2Session, request: TransportRequest): Promise<TransportResponse> {
    const { method, path, headers, body, signal } = request;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(
        { ":method": method, ":path": path, ...headers },
        { endStream: body === undefined, ...(signal === undefined ? {} : { signal }) },
      );
    } catch (error) {
      this.#retire(session);
      throw unreachable(this.#config, error);
    }
    this.#holdWhileOpen(session, stream);
    const head = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
      stream.once("response", resolve);
      stream.on("error", (error) => reject(signal?.aborted === true ? error : unreachable(this.#config, error)));
      // Create the error only when it is needed. Every stream closes, and creating an error takes time, because it
      // records the stack.
      const closed = (): void =>
        reject(unreachable(this.#config, new Error("the connection was closed before the answer")));
      stream.once("close", closed).once("response", () => stream.off("close", closed));
      if (body !== undefined) stream.end(body);
    });
    // A truncated response must not look complete.
    stream.once("aborted", () => stream.destroy(new Error("the connection was closed in the middle of the answer")));
    const flat: Record<string, string> = {};
    for (const [name, value] of Object.entries(head))
      if (value !== undefined && !name.startsWith(":")) flat[name] = String(value);
    return { status: Number(head[constants.HTTP2_HEADER_STATUS]), headers: flat, body: stream };
  }

  /**
   * Keeps the process alive while the session has a stream. After its last stream, closes a session that gets no new
   * requests.
   */
  #holdWhileOpen(session: ClientHttp2Session, stream: ClientHttp2Stream): void {
    const count = (openStreams.get(session) ?? 0) + 1;
    openStreams.set(session, count);
    if (count === 1) session.ref();
    stream.once("close", () => {
      const left = (openStreams.get(session) ?? 1) - 1;
      openStreams.set(session, left);
      if (left > 0 || session.destroyed) return;
      session.unref();
      if (this.#former.has(session)) session.close();
    });
  }
}

/** Awaits work that several requests share. Rejects early if this request's signal aborts. */
async function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return await work;
  const left = Promise.withResolvers<never>();
  using _abort = onAbort(signal, () => left.reject(signal.reason as Error));
  return await Promise.race([work, left.promise]);
}

const openStreams = new WeakMap<ClientHttp2Session, number>();

/**
 * Whether a new stream on this session would have to wait. A session without streams is never full, because a server
 * that allows no streams would otherwise cause an endless number of connections.
 */
function isFull(session: ClientHttp2Session): boolean {
  const open = openStreams.get(session) ?? 0;
  return open > 0 && open >= (session.remoteSettings.maxConcurrentStreams ?? assumedStreams);
}
