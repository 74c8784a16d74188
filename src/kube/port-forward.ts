import type { KubeClient, RawOptions, RawResponse } from "./client.ts";
import { requestOverStream } from "./stream-request.ts";
import type { IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Duplex } from "node:stream";
import { nodeHttp, SerinError, systemClock, transientError, userError, type Clock, withoutEnd } from "../base/index.ts";
import { SpdySession, type SpdyStream } from "../wire/spdy/index.ts";
import { Credentials } from "./credentials.ts";
import type { KubeConfig } from "./kube-config.ts";
import { serverAddress } from "./server-address.ts";
import { errorOfStatus } from "./status-error.ts";
import { serverAgent, unreachable } from "./transport.ts";

export interface PortForwardTarget {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

const maxErrorBytes = 64 << 10;
/**
 * The time limit for the upgrade. The API server has none, so it waits forever for a kubelet that accepts the
 * connection and then hangs.
 */
const upgradeTimeoutMs = 30_000;

/**
 * Opens a byte stream to a port of a pod through the API server (SPDY/3.1, `portforward.k8s.io`). If the pod refuses
 * the connection, the stream fails with a transient error. The end of the stream closes its connection.
 */
export async function portForward(config: KubeConfig, target: PortForwardTarget): Promise<Duplex> {
  const socket = await upgrade(config, target);
  return new ForwardedStream(socket, target);
}

async function upgrade(
  config: KubeConfig,
  { namespace, pod, signal, clock = systemClock }: PortForwardTarget,
): Promise<Duplex> {
  const url = new URL(config.server);
  const secure = url.protocol === "https:";
  const { headers, clientCertificate } = await new Credentials(config, clock).current();
  const options = {
    method: "POST",
    path: `${withoutEnd(url.pathname, "/")}/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward`,
    headers: {
      connection: "Upgrade",
      upgrade: "SPDY/3.1",
      "x-stream-protocol-version": "portforward.k8s.io",
      "content-length": "0",
      ...headers,
    },
    ...(signal === undefined ? {} : { signal }),
    ...serverAddress(url),
  };
  const outgoing = secure
    ? httpsRequest({ ...options, agent: serverAgent(config, clientCertificate) })
    : nodeHttp().request({ ...options, agent: false });
  using _timer = clock.after(upgradeTimeoutMs, () => {
    const message = `port-forward of Pod ${namespace}/${pod}: no answer within ${upgradeTimeoutMs / 1000} s`;
    const hint = `the kubelet of the pod's node may hang: kubectl get pod -n ${namespace} ${pod} -o wide, then kubectl describe node`;
    outgoing.destroy(transientError("timeout", message, { hint }));
  });
  return await new Promise<Duplex>((resolve, reject) => {
    outgoing.once("error", (error) => reject(error instanceof SerinError ? error : unreachable(config, error)));
    outgoing.once("upgrade", (_response, socket: Duplex, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    outgoing.once("response", (response) => void refusal(response, `Pod ${namespace}/${pod}`).then(reject, reject));
    outgoing.end();
  });
}

async function refusal(response: IncomingMessage, object: string): Promise<Error> {
  let body = "";
  for await (const chunk of response.setEncoding("utf8")) body = (body + String(chunk)).slice(0, maxErrorBytes);
  const status = response.statusCode ?? 0;
  if (status < 300)
    return userError(
      "stream-refused",
      `port-forward of ${object}: the server did not switch to SPDY/3.1 (HTTP status ${status})`,
    );
  return errorOfStatus({ verb: "port-forward", object }, status, body);
}

/** The data stream of a SPDY session that has only this stream and its error stream. */
class ForwardedStream extends Duplex {
  readonly #socket: Duplex;
  readonly #session: SpdySession;
  readonly #data: SpdyStream;
  #drained: (() => void) | undefined;

  constructor(socket: Duplex, { namespace, pod, port }: PortForwardTarget) {
    super();
    this.#socket = socket;
    this.#session = new SpdySession({
      role: "client",
      send: (bytes) => void socket.write(bytes),
      opened: (stream) => stream.reset(),
    });
    const headers = { port: String(port), requestid: "0" };
    const subject = `port ${port} of Pod ${namespace}/${pod}`;
    const fail = (message: string, cause?: unknown): void =>
      void this.destroy(transientError("stream-broken", `${subject}: ${message}`, { cause }));
    const errors = this.#session.open({ ...headers, streamtype: "error" });
    let errorText = "";
    errors.setHandler({
      data: (bytes) => {
        errorText = (errorText + Buffer.from(bytes).toString("utf8")).slice(0, maxErrorBytes);
      },
      end: () => {
        if (errorText !== "") fail(errorText.trim());
      },
      reset: () => fail("the server reset the stream"),
    });
    errors.end();
    this.#data = this.#session.open({ ...headers, streamtype: "data" });
    this.#data.setHandler({
      data: (bytes) => {
        if (!this.push(bytes)) socket.pause();
      },
      end: () => void this.push(null),
      reset: () => fail("the pod closed the connection"),
    });
    socket.on("data", (chunk: Buffer) => {
      try {
        this.#session.receive(chunk);
      } catch (error) {
        fail("the server does not speak SPDY/3.1 as expected", error);
      }
    });
    socket.on("drain", () => {
      this.#drained?.();
      this.#drained = undefined;
    });
    socket.on("error", (error) => fail("the connection broke", error));
    socket.on("close", () => {
      if (!this.readableEnded && !this.destroyed) fail("the connection was closed");
    });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#data.write(chunk);
    if (this.#socket.writableNeedDrain) this.#drained = done;
    else done();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#data.end();
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}

const podProxy = /^\/api\/v1\/namespaces\/([^/]+)\/pods\/([^/:]+):(\d+)\/proxy(\/.*)$/;
const unauthenticated = 401;

/**
 * Wraps a client. If a pod refuses a GET through the API server's proxy with 401, the wrapper repeats it through a
 * port-forward: control planes show their proxies only to callers inside the pod, and a port-forward connects from
 * inside. The user needs the right to `create` `pods/portforward`. Otherwise the wrapper returns the pod's refusal.
 */
export function withPortForward<Client extends KubeClient>(client: Client, config: KubeConfig): Client {
  const raw = async (method: string, path: string, options?: RawOptions): Promise<RawResponse> => {
    const answer = await client.raw(method, path, options);
    const [, namespace, pod, port, pathOfPod] = podProxy.exec(path) ?? [];
    if (answer.status !== unauthenticated || method !== "GET" || namespace === undefined || pod === undefined)
      return answer;
    try {
      const stream = await portForward(config, {
        namespace,
        pod,
        port: Number(port),
        ...(options?.signal === undefined ? {} : { signal: options.signal }),
      });
      return {
        ...(await requestOverStream(stream, { method, path: pathOfPod ?? "/", signal: options?.signal })),
        headers: {},
      };
    } catch {
      options?.signal?.throwIfAborted();
      return answer;
    }
  };
  return new Proxy(client, {
    get: (target, name) => {
      if (name === "raw") return raw;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
}
