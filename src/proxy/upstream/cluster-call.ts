import { transientError, onAbort, type SerinError } from "../../base/index.ts";
import { JoinedBytes } from "../../base/joined-bytes/index.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import type { CallCluster, ClusterAnswer, ClusterRequest } from "../terms/call-cluster.ts";
import { isGrpcContentType, judgedStatus } from "../terms/grpc-call.ts";
import { headText } from "../terms/header-text.ts";
import type { Cluster, Endpoint } from "./cluster.ts";
import type { ConnectFailure, PoolUser, WireProtocol } from "./connection-pool.ts";
import {
  blamesEndpoint,
  type ResponseReceiver,
  type UpstreamChannel,
  type UpstreamFailure,
} from "./upstream-channel.ts";

/** Returns the function by which filters send requests to clusters. These requests use the shared connections. */
export function clusterCaller(clusterOf: (name: string) => Cluster | undefined): CallCluster {
  return async (request, signal) => {
    const cluster = clusterOf(request.cluster);
    if (cluster === undefined) throw noCluster(request.cluster);
    // Use HTTP/2 if the cluster's endpoints require it, even if the request asks for HTTP/1.1.
    const protocol = cluster.config.upstreamProtocol === "http2" ? "http2" : request.protocol;
    return await atEndpoint(
      cluster,
      async (endpoint) => await new ClusterCall(endpoint, { ...request, protocol }).run(signal),
    );
  };
}

export function noCluster(name: string): SerinError {
  return transientError("no-cluster", `there is no cluster ${name}`);
}

/** Sends a request of the proxy itself to one of the cluster's endpoints, within the cluster's limit of requests. */
export async function atEndpoint<Outcome>(
  cluster: Cluster,
  run: (endpoint: Endpoint) => Promise<Outcome>,
): Promise<Outcome> {
  const endpoint = cluster.pick(undefined, 1);
  if (endpoint === undefined) throw transientError("no-endpoint", `cluster ${cluster.name} has no usable endpoint`);
  const { requests } = cluster.breaker;
  if (!requests.take()) throw transientError("busy", `cluster ${cluster.name} has reached its limit of requests`);
  try {
    return await run(endpoint);
  } finally {
    requests.give();
  }
}

interface OwnRequestOptions {
  readonly name: string;
  readonly protocol: WireProtocol;
  readonly toHead: boolean;
}

/** A request that the proxy itself sends, from its beginning until it has its outcome or has failed. */
export abstract class OwnRequest<Outcome> implements PoolUser, ResponseReceiver {
  readonly toHead: boolean;
  readonly toConnect = false;
  readonly toUpgrade: boolean = false;
  readonly wantsPlainBody = true;
  readonly http1Trailers = true;
  readonly chunksRequest = false;
  readonly scheme: string;
  readonly upstreamProtocol: WireProtocol;
  protected readonly name: string;
  protected readonly endpoint: Endpoint;
  protected channel: UpstreamChannel | undefined;
  protected isOver = false;
  readonly #outcome = Promise.withResolvers<Outcome>();

  constructor(endpoint: Endpoint, { name, protocol, toHead }: OwnRequestOptions) {
    this.name = name;
    this.endpoint = endpoint;
    this.toHead = toHead;
    this.upstreamProtocol = protocol;
    this.scheme = endpoint.config.transport.kind === "tls" ? "https" : "http";
  }

  protected async settled(signal: AbortSignal): Promise<Outcome> {
    signal.throwIfAborted();
    using _abort = onAbort(signal, () => this.giveUp(transientError("cancelled", `${this.name} was cancelled`)));
    this.endpoint.activeRequests += 1;
    this.endpoint.counters.requests += 1;
    this.endpoint.pool.acquire(this, false);
    return await this.#outcome.promise;
  }

  connected(channel: UpstreamChannel): void {
    this.channel = channel;
    channel.begin(this);
    this.send(channel);
  }

  protected abstract send(channel: UpstreamChannel): void;

  connectFailed(failure: ConnectFailure): void {
    if (failure.kind !== "overflow")
      this.endpoint.report({ kind: failure.kind === "timeout" ? "timeout" : "connect-failure" });
    this.fail(transientError("unreachable", `${this.name}: ${failure.message}`));
  }

  interimResponse(): void {
    // Ignore interim responses, because this request waits for the final one.
  }

  abstract response(head: MessageHead, framing: BodyFraming, from: number, to: number, last: boolean): void;

  abstract responseBody(bytes: Buffer, from: number, to: number, last: boolean): void;

  abstract responseTrailers(fields: readonly string[]): void;

  switched(_head: MessageHead): void {
    this.giveUp(transientError("switched", `${this.name} switched to another protocol`));
  }

  switchedBytes(): void {
    // Nothing to do: {@link giveUp} has ended the request.
  }

  switchedEnd(): void {
    // Nothing to do: {@link giveUp} has ended the request.
  }

  upstreamFailed(failure: UpstreamFailure): void {
    if (blamesEndpoint(failure, this.channel)) this.endpoint.report({ kind: "reset" });
    this.fail(transientError("connection-reset", `${this.name}: ${failure.message}`));
  }

  upstreamDrained(): void {
    // Nothing to do: the request is short, and the channel keeps it.
  }

  protected succeed(outcome: Outcome): void {
    if (this.#end()) this.#outcome.resolve(outcome);
  }

  /** Succeeds although the rest of the response has not arrived, and abandons the connection. */
  protected succeedEarly(outcome: Outcome): void {
    const { channel } = this;
    if (!this.#end()) return;
    channel?.abandon();
    this.#outcome.resolve(outcome);
  }

  protected fail(error: Error): void {
    if (this.#end()) this.#outcome.reject(error);
  }

  /** Fails, and abandons the connection or the wait for one. */
  protected giveUp(error: unknown): void {
    const { channel } = this;
    if (channel === undefined) this.endpoint.pool.giveUp(this);
    if (!this.#end()) return;
    channel?.abandon();
    this.#outcome.reject(error);
  }

  #end(): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    this.channel = undefined;
    this.endpoint.activeRequests -= 1;
    return true;
  }
}

class ClusterCall extends OwnRequest<ClusterAnswer> {
  override readonly toUpgrade: boolean;
  readonly #request: ClusterRequest;
  #again = false;
  #status = 0;
  readonly #isGrpc: boolean;
  #headers: [name: string, value: string][] = [];
  readonly #body = new JoinedBytes();

  constructor(endpoint: Endpoint, request: ClusterRequest) {
    const { method, path, cluster, protocol } = request;
    super(endpoint, { name: `${method} ${path} of cluster ${cluster}`, protocol, toHead: method === "HEAD" });
    this.#request = request;
    this.toUpgrade = request.acceptsSwitch === true;
    this.#isGrpc = request.headers.some(
      ([name, value]) => name.toLowerCase() === "content-type" && isGrpcContentType(value),
    );
  }

  async run(signal: AbortSignal): Promise<ClusterAnswer> {
    const { timeoutMs } = this.#request;
    const timer = setTimeout(() => {
      if (this.#status === 0) this.endpoint.report({ kind: "timeout" });
      this.giveUp(transientError("timeout", `${this.name} took longer than ${timeoutMs} ms`));
    }, timeoutMs);
    timer.unref();
    try {
      return await this.settled(signal);
    } finally {
      clearTimeout(timer);
    }
  }

  protected send(channel: UpstreamChannel): void {
    const head = this.#head();
    channel.send(Buffer.concat([head, this.#request.body]), head.length, true);
  }

  override switched(head: MessageHead): void {
    if (!this.toUpgrade) {
      super.switched(head);
      return;
    }
    this.#begin(head);
    this.succeedEarly({ status: this.#status, headers: this.#headers, body: Buffer.alloc(0) });
  }

  response(head: MessageHead, _framing: BodyFraming, from: number, to: number, last: boolean): void {
    this.#begin(head);
    this.responseBody(head.bytes, from, to, last);
  }

  #begin(head: MessageHead): void {
    this.#status = head.status;
    const grpcStatus = this.#isGrpc ? head.get("grpc-status") : undefined;
    this.endpoint.report({ kind: "answer", status: judgedStatus(head.status, grpcStatus) });
    for (let field = 0; field < head.fieldCount; field += 1)
      this.#headers.push([head.name(field).toLowerCase(), head.value(field)]);
  }

  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    if (this.isOver) return;
    const { maxAnswerBytes } = this.#request;
    if (this.#body.length + to - from > maxAnswerBytes) {
      this.giveUp(transientError("too-long", `${this.name} returned more than ${maxAnswerBytes} bytes`));
      return;
    }
    this.#body.add(bytes.subarray(from, to));
    if (last) this.#finish();
  }

  responseTrailers(fields: readonly string[]): void {
    for (let index = 0; index + 1 < fields.length; index += 2)
      this.#headers.push([(fields[index] ?? "").toLowerCase(), fields[index + 1] ?? ""]);
    this.#finish();
  }

  override upstreamFailed(failure: UpstreamFailure): void {
    // Send the request once more if the peer closed the idle connection while the request was written.
    const wasIdle = failure.kind === "closed" && !blamesEndpoint(failure, this.channel);
    if (wasIdle && !this.#again && !this.isOver) {
      this.#again = true;
      this.channel = undefined;
      this.endpoint.pool.acquire(this, true);
      return;
    }
    super.upstreamFailed(failure);
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
    const [status, headers] = [this.#status, this.#headers];
    this.succeed({ status, headers, body: this.#body.take() });
  }
}
