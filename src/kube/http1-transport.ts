import type { Agent as HttpAgent, IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { nodeHttp } from "../base/index.ts";
import type { Credentials } from "./credentials.ts";
import type { KubeConfig } from "./kube-config.ts";
import {
  connectTimeoutMs,
  ServerAgent,
  unreachable,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** Watches hold a connection each, so the bound leaves room for many of them. */
const maxConnections = 128;

const pool = { keepAlive: true, maxSockets: maxConnections, scheduling: "lifo" } as const;

/** The transport to plain `http://` servers (kubectl proxy) and to those that do not speak HTTP/2. */
export class Http1Transport implements Transport {
  readonly #config: KubeConfig;
  readonly #credentials: Credentials;
  readonly #url: URL;
  #agent: HttpAgent | undefined;

  constructor(config: KubeConfig, credentials: Credentials) {
    this.#config = config;
    this.#credentials = credentials;
    this.#url = new URL(config.server);
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    const { method, path, headers, body, signal } = request;
    const isSecure = this.#url.protocol === "https:";
    const { clientCertificate } = await this.#credentials.current();
    this.#agent ??= isSecure ? new ServerAgent(this.#config, clientCertificate, pool) : new (nodeHttp().Agent)(pool);
    const options = {
      agent: this.#agent,
      method,
      path,
      hostname: this.#url.hostname.replace(/^\[|\]$/g, ""),
      port: this.#url.port === "" ? (isSecure ? 443 : 80) : Number(this.#url.port),
      headers: body === undefined ? headers : { ...headers, "content-length": String(Buffer.byteLength(body)) },
      ...(signal === undefined ? {} : { signal }),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = isSecure ? httpsRequest(options, resolve) : nodeHttp().request(options, resolve);
      outgoing.once("error", (error) => reject(signal?.aborted === true ? error : unreachable(this.#config, error)));
      outgoing.once("socket", (socket) => {
        if (!socket.connecting) return;
        socket.setTimeout(connectTimeoutMs, () => {
          if (socket.connecting) socket.destroy(new Error(`no connection within ${connectTimeoutMs} ms`));
        });
      });
      outgoing.end(body);
    });
    const flat: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) if (value !== undefined) flat[name] = String(value);
    return { status: response.statusCode ?? 0, headers: flat, body: response };
  }

  renew(): void {
    // Sockets in use stay with their requests, and the last request of each ends it.
    this.#agent = undefined;
  }

  close(): void {
    this.#agent?.destroy();
  }
}
