import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { keyOf } from "../../../api/index.ts";
import { limitConnections, messageOf, SerinError, userError, onAbort, type Logger } from "../../../base/index.ts";
import { readLogText, type LogReadOptions } from "../containers/container-log.ts";
import { serveAttach, serveExec } from "./exec-service.ts";
import type { ManagedContainer } from "../pods/managed-container.ts";
import type { PodWorker } from "../pods/pod-worker.ts";
import { servePortForward } from "./port-forward.ts";
import { acceptRemoteStreams, type WantedStreams } from "./remote-streams.ts";
import { statsSummary } from "./stats-summary.ts";
import type { UsageReport } from "./usage-sampler.ts";

export interface KubeletServerOptions {
  readonly address: string;
  readonly port: number;
  /** The certificate of this server. The certificates and the key in these options are PEM texts. */
  readonly certificate: string;
  readonly key: string;
  /** The CA of the clients. The server accepts only clients with a certificate of this CA. */
  readonly clientCa: string;
  readonly nodeName: string;
  /** Returns the worker of a pod by the key `namespace/name`. */
  readonly worker: (key: string) => PodWorker | undefined;
  readonly workers: () => Iterable<PodWorker>;
  readonly usage: () => Promise<UsageReport>;
  readonly log: Logger;
}

/** The maximum number of connections. The API server opens a connection for each exec, log and forwarded port. */
const maxConnections = 4096;

class NotFound extends Error {}
class Refused extends Error {}

/**
 * The names in the client certificates of the API server and of administrators. A node's certificate also passes TLS,
 * but may not use this API.
 */
const clientName = "kube-apiserver-kubelet-client";
const clientGroup = "system:masters";

function mayAsk(request: IncomingMessage): boolean {
  const { subject } = (request.socket as TLSSocket).getPeerCertificate() as {
    subject?: { CN?: string; O?: string | string[] };
  };
  return subject?.CN === clientName || [subject?.O].flat().includes(clientGroup);
}

/**
 * A node's own API (the kubelet's paths): logs, exec, attach, port-forward. Only the API server and administrators may
 * call it.
 */
export class KubeletServer {
  readonly #options: KubeletServerOptions;

  constructor(options: KubeletServerOptions) {
    this.#options = options;
  }

  /** Serves requests, and resolves after the signal aborts. Calls `listening` with the bound port. */
  async run(signal: AbortSignal, listening: (port: number) => void): Promise<void> {
    const { certificate, key, clientCa, address, port } = this.#options;
    const server = createServer({ cert: certificate, key, ca: clientCa, requestCert: true, rejectUnauthorized: true });
    limitConnections(server, maxConnections);
    server.on("request", (request: IncomingMessage, response: ServerResponse) => void this.#answer(request, response));
    server.on(
      "upgrade",
      (request: IncomingMessage, socket: Duplex, head: Buffer) => void this.#upgrade(request, socket, head),
    );
    listening(await listen(server, address, port));
    await new Promise<void>((resolve) => {
      const end = (): void => {
        server.close(() => resolve());
        server.closeAllConnections();
      };
      onAbort(signal, end);
    });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (!mayAsk(request)) return refuse(response, 403, "Forbidden");
      const { url, words } = targetOf(request);
      const [route = "", ...rest] = words;
      if (route === "healthz") return void response.end("ok");
      if (route === "containerLogs") return await this.#logs(rest, url.searchParams, response);
      if (route === "pods")
        return sendJson(response, {
          kind: "PodList",
          apiVersion: "v1",
          metadata: {},
          items: [...this.#options.workers()].map((worker) => worker.pod),
        });
      if (route === "stats" && rest.join("/") === "summary") return sendJson(response, await this.#summary());
      if (["exec", "attach", "portForward"].includes(route)) return refuse(response, 400, "Upgrade request required");
      refuse(response, 404, `404 page not found`);
    } catch (error) {
      refuse(response, statusOf(error), messageOf(error));
    }
  }

  async #logs(
    [namespace = "", pod = "", name = ""]: string[],
    query: URLSearchParams,
    response: ServerResponse,
  ): Promise<void> {
    const container = this.#container(namespace, pod, name);
    const options = logOptions(query);
    if (query.get("previous") === "true") {
      const previous = container.previousLog;
      if (previous === undefined)
        throw new SerinError(
          "user",
          "container-waiting",
          `previous terminated container "${name}" in pod "${pod}" not found`,
        );
      const text = readLogText(previous, options);
      response.writeHead(200, { "content-type": "text/plain" });
      response.end(text);
      return;
    }
    const log = container.currentLog;
    if (log === undefined) {
      const reason = container.record.state.waiting?.reason ?? "unknown";
      throw new SerinError(
        "user",
        "container-waiting",
        `container "${name}" in pod "${pod}" is waiting to start: ${describeWaiting(reason)}`,
      );
    }
    const gone = new AbortController();
    response.once("close", () => gone.abort());
    await log.read(
      options,
      async (text) => {
        // `read` first calls this function after it has read the file. So the client still gets an error status if the
        // file cannot be read.
        if (!response.headersSent) {
          response.writeHead(200, { "content-type": "text/plain", "transfer-encoding": "chunked" });
          response.flushHeaders();
        }
        if (text === "" || response.destroyed || response.write(text)) return;
        await once(response, "drain", { signal: gone.signal }).catch(() => undefined);
      },
      gone.signal,
    );
    response.end();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on("error", () => socket.destroy());
    try {
      if (!mayAsk(request)) throw new Refused("Forbidden");
      const { url, words } = targetOf(request);
      const [route = "", namespace = "", pod = "", ...rest] = words;
      if (route === "portForward") {
        const worker = this.#worker(namespace, pod);
        return await servePortForward(request, socket, head, () => networkOf(worker));
      }
      const container = this.#container(namespace, pod, rest.at(-1) ?? "");
      const wanted = wantedStreams(url.searchParams);
      if (route === "exec") {
        await container.execContext();
        const streams = await acceptRemoteStreams(request, socket, head, wanted);
        return await serveExec(container, url.searchParams.getAll("command"), wanted, streams);
      }
      if (route === "attach")
        return await serveAttach(container, await acceptRemoteStreams(request, socket, head, wanted));
      throw new NotFound("404 page not found");
    } catch (error) {
      const body = messageOf(error);
      if (socket.writable)
        socket.end(
          `HTTP/1.1 ${statusOf(error)} Error\r\nContent-Type: text/plain\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
        );
    }
  }

  #worker(namespace: string, pod: string): PodWorker {
    const worker = this.#options.worker(`${namespace}/${pod}`);
    if (worker === undefined)
      throw new NotFound(
        `pod "${namespace}/${pod}" does not run on ${this.#options.nodeName}; a component of the cluster itself logs to launcher.log in the cluster's directory`,
      );
    return worker;
  }

  #container(namespace: string, pod: string, name: string): ManagedContainer {
    const container = this.#worker(namespace, pod).containers.find((candidate) => candidate.spec.name === name);
    if (container === undefined) throw new NotFound(`container "${name}" is not in pod "${namespace}/${pod}"`);
    return container;
  }

  async #summary(): Promise<object> {
    const report = await this.#options.usage();
    return statsSummary(this.#options.nodeName, this.#options.workers(), report);
  }
}

/**
 * Returns the pod's network namespace, or undefined if the pod is in its node's network. Throws if the pod has no
 * sandbox, because it has not started or has ended. Otherwise such a pod would look like one in its node's network.
 */
function networkOf({ sandbox, pod }: PodWorker): number | undefined {
  if (sandbox === undefined) throw new NotFound(`pod "${keyOf(pod)}" is not running`);
  return sandbox.namespaces.network;
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => resolve());
  });
  return (server.address() as AddressInfo).port;
}

function statusOf(error: unknown): number {
  if (error instanceof NotFound) return 404;
  if (error instanceof Refused) return 403;
  return error instanceof SerinError && error.kind === "user" ? 400 : 500;
}

/** Splits the path of a request into words. Throws a user error for an invalid path. */
function targetOf(request: IncomingMessage): { readonly url: URL; readonly words: readonly string[] } {
  try {
    const url = new URL(request.url ?? "/", "https://node");
    return { url, words: url.pathname.split("/").slice(1).map(decodeURIComponent) };
  } catch (error) {
    throw userError("bad-request", `"${request.url ?? ""}" is not a path`, { cause: error });
  }
}

function refuse(response: ServerResponse, status: number, message: string): void {
  // If a part of the response was already sent, break the connection, so that the client notices that the response is
  // incomplete.
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const reason = { 400: "BadRequest", 403: "Forbidden", 404: "NotFound" }[status] ?? "InternalError";
  response.writeHead(status, { "content-type": "application/json" });
  response.end(
    JSON.stringify({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      reason,
      code: status,
    }),
  );
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function describeWaiting(reason: string): string {
  if (reason === "ErrImagePull" || reason === "ImagePullBackOff") return "trying and failing to pull image";
  return reason;
}

function wantedStreams(query: URLSearchParams): WantedStreams {
  const isSet = (name: string): boolean => ["1", "true"].includes(query.get(name) ?? "");
  return { stdin: isSet("input"), stdout: isSet("output"), stderr: isSet("error"), tty: isSet("tty") };
}

function logOptions(query: URLSearchParams): LogReadOptions {
  const integer = (name: string): number | undefined => {
    const value = Number(query.get(name) ?? Number.NaN);
    return Number.isInteger(value) && value >= 0 ? value : undefined;
  };
  const seconds = integer("sinceSeconds");
  const time = Date.parse(query.get("sinceTime") ?? "");
  const since = seconds === undefined ? time : Date.now() - seconds * 1_000;
  return {
    follow: query.get("follow") === "true",
    timestamps: query.get("timestamps") === "true",
    tailLines: integer("tailLines"),
    sinceMs: Number.isNaN(since) ? undefined : since,
    limitBytes: integer("limitBytes"),
  };
}
