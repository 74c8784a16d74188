import { onAbort, transientError } from "../../base/index.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import { headText } from "../terms/header-text.ts";
import type { Cluster, Endpoint } from "./cluster.ts";
import type { ConnectFailure, PoolUser, WireProtocol } from "./connection-pool.ts";
import type { ResponseReceiver, UpstreamChannel, UpstreamFailure } from "./upstream-channel.ts";

export interface GrpcStreamOptions {
  readonly authority: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  /** A longer message of the service ends the stream. */
  readonly maxMessageBytes: number;
  /** Takes each message of the service. An exception ends the stream. */
  readonly onMessage: (message: Buffer) => void;
}

const prefixBytes = 5;

/**
 * Runs one gRPC stream of the proxy itself to a cluster, over the shared connections. Both sides send messages until the
 * service ends the stream or the signal aborts. `begin` gets the function that sends.
 */
export async function runGrpcStream(
  cluster: Cluster,
  options: GrpcStreamOptions,
  begin: (send: (message: Uint8Array) => void) => void,
  signal: AbortSignal,
): Promise<void> {
  const endpoint = cluster.pick(undefined, 1);
  if (endpoint === undefined) throw transientError("no-endpoint", `cluster ${cluster.name} has no usable endpoint`);
  const { requests } = cluster.breaker;
  if (!requests.take()) throw transientError("busy", `cluster ${cluster.name} has reached its limit of requests`);
  try {
    await new GrpcStream(cluster.name, endpoint, options).run(begin, signal);
  } finally {
    requests.give();
  }
}

class GrpcStream implements PoolUser, ResponseReceiver {
  readonly toHead = false;
  readonly toConnect = false;
  readonly toUpgrade = false;
  readonly wantsPlainBody = true;
  readonly http1Trailers = true;
  readonly chunksRequest = false;
  readonly scheme: string;
  readonly upstreamProtocol: WireProtocol = "http2";
  readonly #name: string;
  readonly #endpoint: Endpoint;
  readonly #options: GrpcStreamOptions;
  readonly #ended = Promise.withResolvers<void>();
  #channel: UpstreamChannel | undefined;
  #begin: (send: (message: Uint8Array) => void) => void = () => undefined;
  #over = false;
  /** Parts of a message that is not complete. */
  #parts: Buffer[] = [];
  #bytes = 0;
  /** How many bytes the next step of reading needs. */
  #needed = prefixBytes;

  constructor(cluster: string, endpoint: Endpoint, options: GrpcStreamOptions) {
    this.#name = `${options.path} of cluster ${cluster}`;
    this.#endpoint = endpoint;
    this.#options = options;
    this.scheme = endpoint.config.transport.kind === "tls" ? "https" : "http";
  }

  async run(begin: (send: (message: Uint8Array) => void) => void, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    using _abort = onAbort(signal, () => this.#giveUp(transientError("cancelled", `${this.#name} was cancelled`)));
    this.#begin = begin;
    this.#endpoint.activeRequests += 1;
    this.#endpoint.counters.requests += 1;
    this.#endpoint.pool.acquire(this, false);
    await this.#ended.promise;
  }

  connected(channel: UpstreamChannel): void {
    this.#channel = channel;
    channel.begin(this);
    const { path, authority } = this.#options;
    const head = Buffer.from(
      headText(`POST ${path} HTTP/1.1\r\nhost: ${authority}\r\ncontent-type: application/grpc\r\nte: trailers\r\n\r\n`),
      "latin1",
    );
    channel.send(head, head.length, false);
    this.#begin((message) => this.#send(message));
  }

  connectFailed(failure: ConnectFailure): void {
    if (failure.kind !== "overflow")
      this.#endpoint.report({ kind: failure.kind === "timeout" ? "timeout" : "connect-failure" });
    this.#fail(transientError("unreachable", `${this.#name}: ${failure.message}`));
  }

  interimResponse(): void {
    // Waits for the final response.
  }

  response(head: MessageHead, _framing: BodyFraming, from: number, to: number, last: boolean): void {
    this.#endpoint.report({ kind: "answer", status: head.status });
    if (head.status !== 200) {
      this.#giveUp(transientError("secret-service-failed", `${this.#name} answered HTTP ${head.status}`));
      return;
    }
    if (!last) {
      this.responseBody(head.bytes, from, to, false);
      return;
    }
    const fields: string[] = [];
    for (let field = 0; field < head.fieldCount; field += 1) fields.push(head.name(field), head.value(field));
    this.responseTrailers(fields);
  }

  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    try {
      this.#read(bytes.subarray(from, to));
    } catch (error) {
      this.#giveUp(error);
      return;
    }
    if (last) this.#fail(transientError("secret-service-failed", `${this.#name} ended without a status`));
  }

  responseTrailers(fields: readonly string[]): void {
    const at = fields.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "grpc-status");
    const status = at < 0 ? undefined : fields[at + 1];
    if (status !== "0") {
      this.#fail(
        transientError("secret-service-failed", `${this.#name} ended with gRPC status ${status ?? "nothing"}`),
      );
      return;
    }
    if (this.#end()) this.#ended.resolve();
  }

  switched(): void {
    this.#giveUp(transientError("switched", `${this.#name} switched to another protocol`));
  }

  switchedBytes(): void {
    // The stream was given up.
  }

  switchedEnd(): void {
    // The stream was given up.
  }

  upstreamFailed(failure: UpstreamFailure): void {
    this.#endpoint.report({ kind: "reset" });
    this.#fail(transientError("connection-reset", `${this.#name}: ${failure.message}`));
  }

  upstreamDrained(): void {
    // Messages are few, and the channel keeps them.
  }

  #send(message: Uint8Array): void {
    if (this.#over) return;
    const framed = Buffer.alloc(prefixBytes + message.length);
    framed.writeUInt32BE(message.length, 1);
    framed.set(message, prefixBytes);
    this.#channel?.write(framed, false);
  }

  #read(bytes: Buffer): void {
    if (this.#over) return;
    // The caller owns the bytes only during this call.
    this.#parts.push(Buffer.from(bytes));
    this.#bytes += bytes.length;
    if (this.#bytes < this.#needed) return;
    let rest = Buffer.concat(this.#parts);
    this.#needed = prefixBytes;
    while (rest.length >= prefixBytes && !this.#over) {
      this.#needed = prefixBytes + this.#lengthOf(rest);
      if (rest.length < this.#needed) break;
      const message = rest.subarray(prefixBytes, this.#needed);
      rest = rest.subarray(this.#needed);
      this.#needed = prefixBytes;
      this.#options.onMessage(message);
    }
    [this.#parts, this.#bytes] = [[rest], rest.length];
  }

  #lengthOf(framed: Buffer): number {
    const { maxMessageBytes } = this.#options;
    if (framed[0] !== 0) throw transientError("secret-service-failed", `${this.#name} sent a compressed message`);
    const length = framed.readUInt32BE(1);
    if (length > maxMessageBytes)
      throw transientError(
        "too-long",
        `${this.#name} sent a message of ${length} bytes; at most ${maxMessageBytes} are read`,
      );
    return length;
  }

  #giveUp(error: unknown): void {
    const channel = this.#channel;
    if (channel === undefined) this.#endpoint.pool.giveUp(this);
    if (!this.#end()) return;
    channel?.abandon();
    this.#ended.reject(error);
  }

  #fail(error: Error): void {
    if (this.#end()) this.#ended.reject(error);
  }

  /** Returns whether the stream was still open. */
  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#channel = undefined;
    this.#parts = [];
    this.#endpoint.activeRequests -= 1;
    return true;
  }
}
