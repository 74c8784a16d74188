import { connect, type Socket } from "node:net";
import { joinHostPort, messageOf, transientError, onAbort, type Clock } from "../../base/index.ts";
import {
  bodyFramings,
  ChunkedScanner,
  headIncomplete,
  headRefused,
  keepsAlive,
  MessageHead,
  responseFraming,
  scanResponseHead,
  type BodyFraming,
} from "../../wire/http1/index.ts";
import { checkPath, type AskPod, type PodAnswer } from "./pod-http.ts";

/** The maximum size of a pod's answer. A longer one is an error. */
export const maxAnswerBytes = 16 << 20;
/** The maximum number of idle connections. Connections are kept, because pods are scraped every second. */
export const maxIdleConnections = 1024;
/** How long an unused connection is kept. After that, its pod is probably gone or rarely scraped. */
export const maxIdleMs = 60_000;
/** The size of the read buffer that all connections use in turn. */
const readBytes = 64 << 10;
/** The maximum number and size of the buffers for answers that are kept for reuse. */
const maxKeptPlaces = 16;
const maxKeptBytes = 1 << 20;
const spareShare = 1.25;
const startBytes = 16 << 10;

/**
 * Sends GETs to ports of pods over HTTP/1.1, and reuses connections. `fetch` and `node:http` allocate memory outside
 * the heap for each read. With hundreds of large answers each second, this garbage grows faster than it is collected.
 * So all connections share one read buffer, and all answers share a few buffers.
 */
export class PodConnections {
  readonly #idle = new Map<string, PodConnection>();
  readonly #places: Buffer[] = [];
  readonly #input = Buffer.allocUnsafeSlow(readBytes);
  readonly #clock: Clock;
  /** Ends the connection that has been idle longest. */
  #ageing: Disposable | undefined;
  #isClosed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get idle(): number {
    return this.#idle.size;
  }

  readonly ask: AskPod = async ({ ip, port }, path, signal, read) => {
    signal.throwIfAborted();
    checkPath(path);
    const host = joinHostPort(ip, port);
    const kept = this.#idle.get(host);
    this.#idle.delete(host);
    const place = this.#places.pop() ?? Buffer.allocUnsafeSlow(startBytes);
    const exchange: Exchange = { place, size: 0, status: 0 };
    try {
      const connection = await this.#exchanged(
        kept ?? new PodConnection(ip, port, host, this.#input),
        exchange,
        path,
        signal,
        kept !== undefined,
      );
      if (connection !== undefined) this.#keep(host, connection);
      return answerOf(exchange, read);
    } finally {
      if (exchange.place.length <= maxKeptBytes && this.#places.length < maxKeptPlaces)
        this.#places.push(exchange.place);
    }
  };

  close(): void {
    this.#isClosed = true;
    this.#ageing?.[Symbol.dispose]();
    for (const connection of this.#idle.values()) connection.destroy();
    this.#idle.clear();
  }

  /**
   * Sends a request. If the pod has meanwhile closed the idle connection, repeats the request on a new one. Returns the
   * connection if it can be reused.
   */
  async #exchanged(
    connection: PodConnection,
    exchange: Exchange,
    path: string,
    signal: AbortSignal,
    mayBeOld: boolean,
  ): Promise<PodConnection | undefined> {
    try {
      return (await connection.get(path, exchange, signal)) ? connection : undefined;
    } catch (cause) {
      if (signal.aborted) throw signal.reason;
      if (mayBeOld && !connection.wasAnswered)
        return await this.#exchanged(connection.again(), exchange, path, signal, false);
      throw transientError("pod-unreachable", `${connection.host} does not answer: ${messageOf(cause)}`, { cause });
    }
  }

  #keep(host: string, connection: PodConnection): void {
    if (this.#isClosed || this.#idle.has(host) || this.#idle.size >= maxIdleConnections) {
      connection.destroy();
      return;
    }
    connection.idleSinceMs = this.#clock.steadyMs();
    this.#idle.set(host, connection);
    connection.onIdleEnd = () => {
      if (this.#idle.get(host) === connection) this.#idle.delete(host);
    };
    this.#ageing ??= this.#clock.after(maxIdleMs, () => this.#age());
  }

  /** Closes the connections that have been idle for too long, the oldest first. */
  #age(): void {
    this.#ageing = undefined;
    const nowMs = this.#clock.steadyMs();
    for (const connection of this.#idle.values()) {
      const leftMs = connection.idleSinceMs + maxIdleMs - nowMs;
      if (leftMs > 0) {
        this.#ageing = this.#clock.after(leftMs, () => this.#age());
        return;
      }
      this.#idle.delete(connection.host);
      connection.destroy();
    }
  }
}

/** Connects to the pod's address, which works inside the cluster. */
export function askPodDirectly(clock: Clock): { readonly ask: AskPod; close(): void } {
  const connections = new PodConnections(clock);
  return { ask: connections.ask, close: () => connections.close() };
}

interface Exchange {
  /** The buffer with the body, which has been filled up to `size`. */
  place: Buffer;
  size: number;
  status: number;
}

function answerOf({ place, size, status }: Exchange, read: ((body: Buffer) => void) | undefined): PodAnswer {
  const body = place.subarray(0, size);
  if (read === undefined || status !== 200) return { status, text: body.toString() };
  read(body);
  return { status, text: "" };
}

const head = new MessageHead();

/** A connection. It serves one request at a time. */
class PodConnection {
  readonly host: string;
  /** Called if the pod closes the connection while it is idle. */
  onIdleEnd: () => void = () => undefined;
  /** Whether a part of the answer to the current request has arrived. */
  wasAnswered = false;
  idleSinceMs = 0;
  readonly #ip: string;
  readonly #port: number;
  readonly #input: Buffer;
  readonly #socket: Socket;
  readonly #chunks = new ChunkedScanner();
  #exchange: Exchange | undefined;
  #framing: BodyFraming = bodyFramings.none;
  #left = 0;
  #keepsAlive = false;
  /** The part of a head that has arrived, if it is incomplete. */
  #headParts: Buffer | undefined;
  #isInBody = false;
  #done: (keepsAlive: boolean) => void = () => undefined;
  #failed: (cause: unknown) => void = () => undefined;

  constructor(ip: string, port: number, host: string, input: Buffer) {
    this.host = host;
    this.#ip = ip;
    this.#port = port;
    this.#input = input;
    const callback = (size: number): boolean => {
      this.#read(input, size);
      return true;
    };
    this.#socket = connect({ host: ip, port, noDelay: true, onread: { buffer: input, callback } });
    this.#socket.on("error", (cause) => this.#end(cause));
    this.#socket.on("end", () => this.#ended());
    this.#socket.on("close", () => this.#end(new Error("the connection was closed")));
  }

  again(): PodConnection {
    return new PodConnection(this.#ip, this.#port, this.host, this.#input);
  }

  destroy(): void {
    this.#socket.destroy();
  }

  /** Sends a request. Resolves to whether the connection can be reused. */
  async get(path: string, exchange: Exchange, signal: AbortSignal): Promise<boolean> {
    this.onIdleEnd = () => undefined;
    this.#exchange = exchange;
    this.wasAnswered = false;
    this.#isInBody = false;
    this.#headParts = undefined;
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    this.#done = resolve;
    this.#failed = reject;
    using _abort = onAbort(signal, () => this.#end(signal.reason));
    if (this.#socket.destroyed) reject(new Error("the connection was closed"));
    else this.#socket.write(`GET ${path} HTTP/1.1\r\nhost: ${this.host}\r\naccept: */*\r\n\r\n`);
    return await promise;
  }

  #end(cause: unknown): void {
    this.#socket.destroy();
    this.onIdleEnd();
    this.#exchange = undefined;
    this.#failed(cause);
  }

  #ended(): void {
    if (this.#exchange !== undefined && this.#isInBody && this.#framing === bodyFramings.untilClose)
      this.#finish(false);
    else this.#end(new Error("the connection was closed in the middle of the answer"));
  }

  #finish(mayStay: boolean): void {
    this.#exchange = undefined;
    if (!mayStay) this.#socket.destroy();
    this.#done(mayStay);
  }

  #read(bytes: Buffer, size: number): void {
    // These bytes answer no request.
    if (this.#exchange === undefined) {
      this.#end(new Error("an answer without a request"));
      return;
    }
    this.wasAnswered = true;
    if (this.#isInBody) this.#body(this.#exchange, bytes, 0, size);
    else this.#head(this.#exchange, bytes, size);
  }

  #head(exchange: Exchange, bytes: Buffer, size: number): void {
    const begun = this.#headParts;
    const [all, length] =
      begun === undefined ? [bytes, size] : [Buffer.concat([begun, bytes.subarray(0, size)]), begun.length + size];
    for (let at = 0; ;) {
      const after = scanResponseHead(head, all, at, length);
      if (after === headRefused) {
        this.#end(new Error(head.error?.reason ?? "its answer is not HTTP"));
        return;
      }
      if (after === headIncomplete) {
        this.#headParts = Buffer.from(all.subarray(at, length));
        return;
      }
      at = after;
      if (head.status < 200) continue;
      exchange.status = head.status;
      this.#isInBody = true;
      this.#framing = responseFraming(head, false);
      this.#keepsAlive = keepsAlive(head) && this.#framing !== bodyFramings.untilClose;
      this.#left = head.contentLength;
      this.#chunks.reset();
      this.#body(exchange, all, at, length);
      return;
    }
  }

  #body(exchange: Exchange, bytes: Buffer, from: number, to: number): void {
    let end = to;
    if (this.#framing === bodyFramings.chunked)
      end = this.#chunks.scan(bytes, from, to, (start, stop) => this.#keep(exchange, bytes, start, stop));
    else if (this.#framing === bodyFramings.untilClose) this.#keep(exchange, bytes, from, to);
    else if (this.#framing === bodyFramings.length) {
      end = Math.min(to, from + this.#left);
      this.#left -= end - from;
      this.#keep(exchange, bytes, from, end);
    } else end = from;
    if (this.#exchange === undefined) return;
    if (this.#chunks.bad) this.#end(new Error("its answer has invalid chunks"));
    else if (
      this.#framing === bodyFramings.chunked
        ? this.#chunks.done
        : this.#framing !== bodyFramings.untilClose && this.#left <= 0
    )
      this.#finish(this.#keepsAlive && end === to);
    else if (this.#framing === bodyFramings.none) this.#finish(this.#keepsAlive && end === to);
  }

  #keep(exchange: Exchange, bytes: Buffer, from: number, to: number): void {
    const size = exchange.size + to - from;
    if (size > maxAnswerBytes) {
      this.#end(new Error(`its answer has more than ${maxAnswerBytes} bytes`));
      return;
    }
    if (size > exchange.place.length) {
      const larger = Buffer.allocUnsafeSlow(Math.ceil(size * spareShare));
      exchange.place.copy(larger, 0, 0, exchange.size);
      exchange.place = larger;
    }
    bytes.copy(exchange.place, exchange.size, from, to);
    exchange.size = size;
  }
}
