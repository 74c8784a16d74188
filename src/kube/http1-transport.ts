import type { Agent as HttpAgent, IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { nodeHttp } from "../base/index.ts";
import type { Credentials } from "./credentials.ts";
import type { KubeConfig } from "./kube-config.ts";
import { serverAddress } from "./server-address.ts";
import {
  limitConnecting,
  serverAgent,
  unreachable,
  type Transport,
  type TransportRequest,
  type TransportResponse,
} from "./transport.ts";

/** The maximum number of connections. Each open watch occupies one. */
const maxConnections = 128;

const pool = { keepAlive: true, maxSockets: maxConnections, scheduling: "lifo" } as const;

/** The transport for `http://` servers (such as kubectl proxy) and for servers without HTTP/2. */
export class Http1Transport implements Transport {
  readonly #config: KubeConfig;
  readonly #credentials: Credentials;
  readonly #url: URL;
  #agent: HttpAgent | undefined;
  /** Agents with former certificates. Their open requests continue. */
  readonly #former = new Set<HttpAgent>();

  constructor(config: KubeConfig, credentials: Credentials) {
    this.#config = config;
    this.#credentials = credentials;
    this.#url = new URL(config.server);
  }

  async send(request: TransportRequest): Promise<TransportResponse> {
    const { method, path, headers, body, signal } = request;
    const isSecure = this.#url.protocol === "https:";
    this.#agent ??= await this.#newAgent(isSecure);
    const options = {
      agent: this.#agent,
      method,
      path,
      ...serverAddress(this.#url),
      headers: body === undefined ? headers : { ...headers, "content-length": String(Buffer.byteLength(body)) },
      ...(signal === undefined ? {} : { signal }),
    };
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const outgoing = isSecure ? httpsRequest(options, resolve) : nodeHttp().request(options, resolve);
      outgoing.once("error", (error) => reject(signal?.aborted === true ? error : unreachable(this.#config, error)));
      outgoing.once("socket", (socket) => {
        if (!socket.connecting) return;
        const limit = limitConnecting((problem) => socket.destroy(problem), "connection");
        for (const end of ["connect", "close"]) socket.once(end, () => limit[Symbol.dispose]());
      });
      outgoing.end(body);
    });
    const flat: Record<string, string> = {};
    for (const [name, value] of Object.entries(response.headers)) if (value !== undefined) flat[name] = String(value);
    return { status: response.statusCode ?? 0, headers: flat, body: response };
  }

  async #newAgent(isSecure: boolean): Promise<HttpAgent> {
    if (!isSecure) return new (nodeHttp().Agent)(pool);
    const { clientCertificate } = await this.#credentials.current();
    // Another request may have created the agent during this wait.
    return this.#agent ?? serverAgent(this.#config, clientCertificate, pool);
  }

  renew(): void {
    const former = this.#agent as (HttpAgent & { keepAlive: boolean }) | undefined;
    this.#agent = undefined;
    if (former === undefined) return;
    // Without keepAlive, the agent closes each socket when its request has ended.
    former.keepAlive = false;
    for (const sockets of Object.values(former.freeSockets)) sockets?.forEach((socket) => socket.destroy());
    for (const agent of this.#former) if (isIdle(agent)) this.#former.delete(agent);
    this.#former.add(former);
  }

  close(): void {
    this.#agent?.destroy();
    for (const agent of this.#former) agent.destroy();
    this.#former.clear();
  }
}

function isIdle({ sockets, requests }: HttpAgent): boolean {
  return Object.keys(sockets).length === 0 && Object.keys(requests).length === 0;
}
