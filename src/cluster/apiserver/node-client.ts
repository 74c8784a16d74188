import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import type { Duplex } from "node:stream";
import { createSecureContext } from "node:tls";
import { messageOf, nodeHttp } from "../../base/index.ts";
import { limitInterimResponses, readBytes, requireFinalResponse } from "../../base/joined-bytes/index.ts";
import { tokenProtocolPrefix } from "../auth/index.ts";
import { ApiError } from "./status.ts";

export interface ProxyTarget {
  readonly protocol: "https" | "http";
  readonly host: string;
  readonly port: number;
  /** The path with its query. */
  readonly path: string;
  /**
   * Whether the target is a node. Requests to a node use the API server's client certificate, and the node's
   * certificate must come from the cluster's CA.
   */
  readonly toNode: boolean;
}

export interface NodeClientOptions {
  readonly certificate: string;
  readonly key: string;
  readonly ca: string;
}

const connectTimeoutMs = 10_000;
const readTimeoutMs = 10_000;
/** The maximum size of a node's answer. A node with hundreds of pods sends less than a megabyte. */
const maxReadBytes = 8 * 1024 * 1024;
/**
 * The maximum number of idle connections to each node. The rollout engine reads logs of several pods several times a
 * second.
 */
const maxFreeConnections = 4;
const hopByHop = [
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
  "te",
  "trailer",
  "http2-settings",
];

/** Forwards requests to nodes (the kubelet's API), pods and Services. */
export class NodeClient {
  /** The agent that reuses connections. It sends GET and HEAD requests without a body. */
  readonly #kept: Agent;
  /** The agent that opens a new connection for each request. It sends all other requests, and second attempts. */
  readonly #fresh: Agent;

  constructor(options: NodeClientOptions) {
    // Create the context only once, because reading the certificates for each connection would cost more than the
    // connection itself.
    const secureContext = createSecureContext({ cert: options.certificate, key: options.key, ca: options.ca });
    const shared = { secureContext, rejectUnauthorized: true };
    this.#kept = new Agent({ ...shared, keepAlive: true, maxFreeSockets: maxFreeConnections });
    this.#fresh = new Agent({ ...shared, keepAlive: false });
  }

  async forward(target: ProxyTarget, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const answer = await this.#answer(target, request, response, this.#kept);
    const answerHeaders = { ...answer.headers };
    for (const name of hopByHop) delete answerHeaders[name];
    response.writeHead(answer.statusCode ?? 502, answerHeaders);
    response.flushHeaders();
    await new Promise<void>((resolve) => {
      answer.pipe(response);
      answer.on("error", () => response.destroy());
      response.on("close", () => {
        answer.destroy();
        resolve();
      });
    });
  }

  /**
   * Sends a request and returns the answer. If the node has closed the reused connection in the meantime, sends a GET
   * or HEAD request again.
   *
   * Each request with a body has its own connection. On a shared connection, a body that ends early would make the node
   * read the next user's request as the rest of the body. A client could then smuggle in a request.
   */
  async #answer(
    target: ProxyTarget,
    request: IncomingMessage,
    response: ServerResponse,
    agent: Agent,
  ): Promise<IncomingMessage> {
    const body = bodyOf(request);
    const isRead = (request.method === "GET" || request.method === "HEAD") && body === "none";
    const headers = passedHeaders(request);
    // For some methods, Node.js sends a body only if a header says how it is framed.
    if (body === "chunked") headers["transfer-encoding"] = "chunked";
    const outgoing = this.#request(target, request.method ?? "GET", headers, isRead ? agent : this.#fresh);
    const end = (): void => void outgoing.destroy();
    try {
      return await new Promise<IncomingMessage>((resolve, reject) => {
        requireFinalResponse(outgoing).on("response", resolve);
        outgoing.on("error", reject);
        response.on("close", end);
        if (isRead) outgoing.end();
        else request.pipe(outgoing);
      });
    } catch (error) {
      response.off("close", end);
      if (!isRead || !outgoing.reusedSocket || response.destroyed) throw unreachable(target, messageOf(error));
      return await this.#answer(target, request, response, this.#fresh);
    }
  }

  /**
   * Reads a JSON document from a node. Fails if it takes longer than {@link readTimeoutMs}, or if the document exceeds
   * {@link maxReadBytes}.
   */
  async read(target: ProxyTarget): Promise<unknown> {
    const outgoing = this.#request(target, "GET", {}, this.#fresh);
    const limit = setTimeout(() => outgoing.destroy(new Error("no answer in time")), readTimeoutMs);
    try {
      const answer = await new Promise<IncomingMessage>((resolve, reject) => {
        requireFinalResponse(outgoing).on("error", reject).once("response", resolve).end();
      });
      if (answer.statusCode !== 200) throw new Error(`HTTP status ${answer.statusCode ?? 0}`);
      const tooLong = (): Error => new Error(`the answer is longer than ${maxReadBytes} bytes`);
      return JSON.parse((await readBytes(answer as AsyncIterable<Buffer>, maxReadBytes, tooLong)).toString("utf8"));
    } catch (error) {
      throw unreachable(target, messageOf(error));
    } finally {
      clearTimeout(limit);
      outgoing.destroy();
    }
  }

  /** Forwards a request to switch protocols. After the target's 101, bytes pass unchanged in both directions. */
  async upgrade(target: ProxyTarget, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const headers = { ...passedHeaders(request), connection: "Upgrade", upgrade: request.headers.upgrade ?? "" };
    const outgoing = this.#request(target, request.method ?? "GET", headers, this.#fresh);
    socket.on("error", () => outgoing.destroy());
    socket.on("close", () => outgoing.destroy());
    await new Promise<void>((resolve, reject) => {
      limitInterimResponses(outgoing).on("error", (error) => reject(unreachable(target, messageOf(error))));
      outgoing.on("upgrade", (answer, other, otherHead) => {
        socket.write(headText(answer));
        if (otherHead.length > 0) socket.write(otherHead);
        if (head.length > 0) other.write(head);
        splice(socket, other);
        resolve();
      });
      outgoing.on("response", (answer) => {
        socket.write(headText(answer, true));
        answer.pipe(socket);
        resolve();
      });
      outgoing.end();
    });
  }

  #request(target: ProxyTarget, method: string, headers: Record<string, string | string[]>, toNode: Agent) {
    const options = {
      host: target.host,
      port: target.port,
      path: target.path,
      method,
      headers,
      timeout: connectTimeoutMs,
    };
    if (target.protocol === "http") return connectLimited(nodeHttp().request({ ...options, agent: false }));
    if (target.toNode) return connectLimited(httpsRequest({ ...options, agent: toNode }));
    return connectLimited(httpsRequest({ ...options, agent: false, rejectUnauthorized: false }));
  }
}

/** Limits the time for connecting. There is no limit afterwards, because logs and terminals may be silent for hours. */
function connectLimited(outgoing: ReturnType<typeof httpsRequest>): ReturnType<typeof httpsRequest> {
  outgoing.on("timeout", () => {
    if (outgoing.socket?.connecting !== false) outgoing.destroy(new Error("no connection within 10 seconds"));
  });
  return outgoing;
}

/** How a request frames its body. An HTTP/2 stream may have a body without a length. */
function bodyOf(request: IncomingMessage): "none" | "of-length" | "chunked" {
  const { "content-length": length, "transfer-encoding": encoding } = request.headers;
  if (length !== undefined && encoding === undefined) return length === "0" ? "none" : "of-length";
  const { stream } = request as IncomingMessage & { readonly stream?: { readonly endAfterHeaders: boolean } };
  return encoding !== undefined || stream?.endAfterHeaders === false ? "chunked" : "none";
}

function passedHeaders(request: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(request.headers)) {
    if (value === undefined || name.startsWith(":") || hopByHop.includes(name)) continue;
    if (name === "authorization" || name === "host" || name.startsWith("impersonate-")) continue;
    if (name !== "sec-websocket-protocol") headers[name] = value;
    else if (withoutTokens(String(value)) !== "") headers[name] = withoutTokens(String(value));
  }
  return headers;
}

/** The WebSocket protocols that a client offers, except the one that carries its token for the API server. */
function withoutTokens(protocols: string): string {
  return protocols
    .split(",")
    .map((protocol) => protocol.trim())
    .filter((protocol) => !protocol.startsWith(tokenProtocolPrefix))
    .join(", ");
}

function headText(answer: IncomingMessage, close = false): string {
  const lines = [`HTTP/1.1 ${answer.statusCode ?? 502} ${answer.statusMessage ?? ""}`];
  for (let index = 0; index + 1 < answer.rawHeaders.length; index += 2) {
    const name = answer.rawHeaders[index] ?? "";
    if (close && (hopByHop.includes(name.toLowerCase()) || name.toLowerCase() === "content-length")) continue;
    lines.push(`${name}: ${answer.rawHeaders[index + 1] ?? ""}`);
  }
  if (close) lines.push("Connection: close");
  return `${lines.join("\r\n")}\r\n\r\n`;
}

/** Relays both directions until both have ended. An error of one side ends the other. */
function splice(left: Duplex, right: Duplex): void {
  left.pipe(right);
  right.pipe(left);
  left.on("error", () => right.destroy());
  right.on("error", () => left.destroy());
  left.on("close", () => right.destroy());
  right.on("close", () => left.destroy());
}

function unreachable(target: ProxyTarget, reason: string): ApiError {
  const problem = target.toNode ? "error dialing backend" : "error trying to reach service";
  return new ApiError(
    target.toNode ? 500 : 503,
    target.toNode ? "InternalError" : "ServiceUnavailable",
    `${problem}: dial tcp ${target.host}:${target.port}: ${reason}`,
  );
}
