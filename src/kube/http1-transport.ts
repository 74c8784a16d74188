import type { Agent as HttpAgent, IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { nodeHttp } from "../base/index.ts";
import type { KubeConfig } from "./kube-config.ts";
import {
  connectTimeoutMs,
  tlsOptionsOf,
  unreachable,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** Watches hold a connection each, so the bound leaves room for many of them. */
const maxConnections = 128;

/** The transport to plain `http://` servers (kubectl proxy) and to those that do not speak HTTP/2. */
export class Http1Transport implements Transport {
  readonly #config: KubeConfig;
  readonly #url: URL;
  readonly #agent: HttpAgent;
  readonly #secure: boolean;

  constructor(config: KubeConfig) {
    this.#config = config;
    this.#url = new URL(config.server);
    this.#secure = this.#url.protocol === "https:";
    const pool = { keepAlive: true, maxSockets: maxConnections, scheduling: "lifo" as const };
    this.#agent = this.#secure ? new HttpsAgent({ ...pool, ...tlsOptionsOf(config) }) : new (nodeHttp().Agent)(pool);
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    const { method, path, headers, body, signal } = request;
    const options = {
      agent: this.#agent,
      method,
      path,
      hostname: this.#url.hostname.replace(/^\[|\]$/g, ""),
      port: this.#url.port === "" ? (this.#secure ? 443 : 80) : Number(this.#url.port),
      headers: body === undefined ? headers : { ...headers, "content-length": String(Buffer.byteLength(body)) },
      ...(signal === undefined ? {} : { signal }),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = this.#secure ? httpsRequest(options, resolve) : nodeHttp().request(options, resolve);
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

  close(): void {
    this.#agent.destroy();
  }
}
