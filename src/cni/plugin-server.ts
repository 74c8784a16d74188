import { mkdirSync, rmSync } from "node:fs";
import type { IncomingMessage, Server } from "node:http";
import { dirname } from "node:path";
import { describeError, nodeHttp, userError, type Logger } from "../base/index.ts";
import { networkError } from "../net/index.ts";

/** The request of a node runtime, in upstream's form. */
export interface PluginRequest {
  readonly netnsPath: string;
  readonly podName: string;
  readonly podNamespace: string;
  /** Of `cmddel` alone; empty otherwise. */
  readonly podUid: string;
  readonly addresses: readonly string[];
}

export interface PluginHandler {
  /** Resolves when the pod may start; an error makes the runtime try again. */
  add(request: PluginRequest): Promise<void>;
  check(request: PluginRequest): Promise<void>;
  delete(request: PluginRequest): Promise<void>;
}

const maxBodyBytes = 64 << 10;

/** `/cmdadd`, `/cmdcheck` and `/cmddel` over a unix socket. */
export class PluginServer {
  readonly #server: Server;
  readonly #path: string;

  constructor(path: string, handler: PluginHandler, log: Logger) {
    this.#path = path;
    const calls: Readonly<Record<string, (request: PluginRequest) => Promise<void>>> = {
      "/cmdadd": (request) => handler.add(request),
      "/cmdcheck": (request) => handler.check(request),
      "/cmddel": (request) => handler.delete(request),
    };
    this.#server = nodeHttp().createServer((request, response) => {
      const call = request.method === "POST" ? calls[request.url ?? ""] : undefined;
      if (call === undefined) {
        response.writeHead(404).end("post to /cmdadd, /cmdcheck or /cmddel\n");
        return;
      }
      readRequest(request)
        .then(call)
        .then(
          () => response.writeHead(200).end(),
          (error: unknown) => {
            log.warn("a CNI request failed", { request: request.url, error: describeError(error) });
            response.writeHead(500).end(`${describeError(error)}\n`);
          },
        );
    });
  }

  listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true });
    // An agent that was killed has left its socket behind; there is one agent a node.
    rmSync(this.#path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(networkError(`listen on ${this.#path}`, error)));
      this.#server.listen(this.#path, resolve);
    });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

async function readRequest(request: IncomingMessage): Promise<PluginRequest> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes)
      throw userError("cni-request-invalid", `a CNI request has at most ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return parsePluginRequest(Buffer.concat(chunks).toString("utf8"));
}

/** Throws a user error (`cni-request-invalid`) that names the field. */
export function parsePluginRequest(text: string): PluginRequest {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (error) {
    throw userError("cni-request-invalid", "a CNI request must be JSON", { cause: error });
  }
  if (typeof raw !== "object" || raw === null)
    throw userError("cni-request-invalid", "a CNI request must be an object");
  const body = raw as Record<string, unknown>;
  const ips = body["IPs"] ?? [];
  if (!Array.isArray(ips)) throw userError("cni-request-invalid", "IPs must be a list");
  return {
    netnsPath: stringField(body, "Netns", ""),
    podName: stringField(body, "PodName"),
    podNamespace: stringField(body, "PodNamespace"),
    podUid: stringField(body, "PodUID", ""),
    addresses: ips.map((ip: unknown) => addressOf(ip)),
  };
}

function stringField(body: Record<string, unknown>, name: string, fallback?: string): string {
  const value = body[name] ?? fallback;
  if (typeof value !== "string" || (value === "" && fallback === undefined))
    throw userError("cni-request-invalid", `${name} must be a non-empty string`);
  return value;
}

function addressOf(ip: unknown): string {
  const value = typeof ip === "object" && ip !== null && "Address" in ip ? ip.Address : undefined;
  if (typeof value !== "string") throw userError("cni-request-invalid", "IPs must hold objects with an Address");
  return value.split("/")[0] ?? "";
}
