import { transientError, onAbort, type SerinError } from "../../base/index.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import type { CallCluster, ClusterAnswer, ClusterRequest } from "../terms/call-cluster.ts";
import { headText } from "../terms/header-text.ts";
import type { Cluster, Endpoint } from "./cluster.ts";
import type { ConnectFailure, PoolUser, WireProtocol } from "./connection-pool.ts";
import type { ResponseReceiver, UpstreamChannel, UpstreamFailure } from "./upstream-channel.ts";

/** Lets filters send requests to clusters over the shared connections. */
export function clusterCaller(clusterOf: (name: string) => Cluster | undefined): CallCluster {
  return async (request, signal) => {
    const cluster = clusterOf(request.cluster);
    if (cluster === undefined) throw noCluster(request.cluster);
    const endpoint = cluster.pick(undefined, 1);
    if (endpoint === undefined)
      throw transientError("no-endpoint", `cluster ${request.cluster} has no usable endpoint`);
    const { requests } = cluster.breaker;
    if (!requests.take()) throw transientError("busy", `cluster ${request.cluster} has reached its limit of requests`);
    try {
      // If endpoints speak only HTTP/2, so do we.
      const protocol = cluster.config.upstreamProtocol === "http2" ? "http2" : request.protocol;
      return await new ClusterCall(endpoint, { ...request, protocol }).run(signal);
    } finally {
      requests.give();
    }
  };
}

export function noCluster(name: string): SerinError {
  return transientError("no-cluster", `there is no cluster ${name}`);
}

/** One request of the proxy itself. Collects the whole response. */
class ClusterCall implements PoolUser, ResponseReceiver {
  readonly toHead: boolean;
  readonly toConnect = false;
  readonly toUpgrade = false;
  readonly wantsPlainBody = true;
  readonly http1Trailers = true;
  readonly chunksRequest = false;
  readonly scheme: string;
  readonly upstreamProtocol: WireProtocol;
  readonly #endpoint: Endpoint;
  readonly #request: ClusterRequest;
  readonly #answer = Promise.withResolvers<ClusterAnswer>();
  #channel: UpstreamChannel | undefined;
  #over = false;
  #again = false;
  #status = 0;
  #headers: [name: string, value: string][] = [];
  readonly #body: Buffer[] = [];
  #bodyBytes = 0;

  constructor(endpoint: Endpoint, request: ClusterRequest) {
    this.#endpoint = endpoint;
    this.#request = request;
    this.upstreamProtocol = request.protocol;
    this.toHead = request.method === "HEAD";
    this.scheme = endpoint.config.transport.kind === "tls" ? "https" : "http";
  }

  async run(signal: AbortSignal): Promise<ClusterAnswer> {
    signal.throwIfAborted();
    using _abort = onAbort(signal, () => this.#giveUp(transientError("cancelled", `${this.#name} was cancelled`)));
    const timer = setTimeout(() => {
      this.#endpoint.report({ kind: "timeout" });
      this.#giveUp(transientError("timeout", `${this.#name} took longer than ${this.#request.timeoutMs} ms`));
    }, this.#request.timeoutMs);
    timer.unref();
    this.#endpoint.activeRequests += 1;
    this.#endpoint.counters.requests += 1;
    this.#endpoint.pool.acquire(this, false);
    try {
      return await this.#answer.promise;
    } finally {
      clearTimeout(timer);
    }
  }

  connected(channel: UpstreamChannel): void {
    this.#channel = channel;
    channel.begin(this);
    const head = this.#head();
    channel.send(Buffer.concat([head, this.#request.body]), head.length, true);
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
    this.#status = head.status;
    for (let field = 0; field < head.fieldCount; field += 1)
      this.#headers.push([head.name(field).toLowerCase(), head.value(field)]);
    this.responseBody(head.bytes, from, to, last);
  }

  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.#over) return;
    this.#bodyBytes += to - from;
    if (this.#bodyBytes > this.#request.maxAnswerBytes) {
      this.#giveUp(
        transientError("too-long", `${this.#name} returned more than ${this.#request.maxAnswerBytes} bytes`),
      );
      return;
    }
    if (to > from) this.#body.push(Buffer.from(bytes.subarray(from, to)));
    if (last) this.#finish();
  }

  responseTrailers(fields: readonly string[]): void {
    for (let index = 0; index + 1 < fields.length; index += 2)
      this.#headers.push([(fields[index] ?? "").toLowerCase(), fields[index + 1] ?? ""]);
    this.#finish();
  }

  switched(): void {
    this.#giveUp(transientError("switched", `${this.#name} switched to another protocol`));
  }

  switchedBytes(): void {
    // The call was cancelled.
  }

  switchedEnd(): void {
    // The call was cancelled.
  }

  upstreamFailed(failure: UpstreamFailure): void {
    const reused = this.#channel?.reused === true && !failure.anyByte;
    // The connection was closed while idle, as we wrote. That says nothing about the endpoint, so the request is sent
    // once more.
    if (reused && failure.kind === "closed" && !this.#again && !this.#over) {
      this.#again = true;
      this.#channel = undefined;
      this.#endpoint.pool.acquire(this, true);
      return;
    }
    this.#endpoint.report({ kind: "reset" });
    this.#fail(transientError("connection-reset", `${this.#name}: ${failure.message}`));
  }

  upstreamDrained(): void {
    // The whole request was passed at once.
  }

  get #name(): string {
    return `${this.#request.method} ${this.#request.path} of cluster ${this.#request.cluster}`;
  }

  #head(): Buffer {
    const { method, path, authority, headers, body } = this.#request;
    const fields = headers.map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const length = body.length > 0 || method !== "GET" ? `content-length: ${body.length}\r\n` : "";
    return Buffer.from(
      headText(`${method} ${path} HTTP/1.1\r\nhost: ${authority}\r\n${fields}${length}\r\n`),
      "latin1",
    );
  }

  #finish(): void {
    if (!this.#end()) return;
    this.#endpoint.report({ kind: "answer", status: this.#status });
    this.#answer.resolve({ status: this.#status, headers: this.#headers, body: Buffer.concat(this.#body) });
  }

  #giveUp(error: Error): void {
    const channel = this.#channel;
    if (channel === undefined) this.#endpoint.pool.giveUp(this);
    if (!this.#end()) return;
    channel?.abandon();
    this.#answer.reject(error);
  }

  #fail(error: Error): void {
    if (this.#end()) this.#answer.reject(error);
  }

  /** Returns whether the call was still open. */
  #end(): boolean {
    if (this.#over) return false;
    this.#over = true;
    this.#channel = undefined;
    this.#endpoint.activeRequests -= 1;
    return true;
  }
}
