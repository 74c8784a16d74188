// The shared code of the four bookinfo services: an HTTP server with a graceful end, and the headers to forward for
// traces and sessions.
import type { LookupAddress } from "node:dns";
import type { ClientRequestArgs, IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { flushCompileCache } from "node:module";
import type { LookupFunction, Socket } from "node:net";

// Do not import node:http. An import would load every export, and the WebSocket among them loads all of undici. That
// takes half of the time of a start.
const { createServer, request } = process.getBuiltinModule("node:http");
const { lookup } = process.getBuiltinModule("node:dns");
const { connect } = process.getBuiltinModule("node:net");

export type Handler = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void> | void;

const forwardedHeaders = [
  "x-request-id",
  "x-ot-span-context",
  "x-datadog-trace-id",
  "x-datadog-parent-id",
  "x-datadog-sampling-priority",
  "traceparent",
  "tracestate",
  "x-cloud-trace-context",
  "grpc-trace-bin",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "sw8",
  "end-user",
  "user-agent",
  "cookie",
  "authorization",
  "jwt",
] as const;

export function headersToForward(headers: IncomingHttpHeaders): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of forwardedHeaders) {
    const value = headers[name];
    if (typeof value === "string") forwarded[name] = value;
  }
  return forwarded;
}

export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) })
    .end(text);
}

export function sendText(response: ServerResponse, status: number, contentType: string, text: string): void {
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(text) }).end(text);
}

const bodyLimitBytes = 65_536;
const tooLong = `the body is longer than ${bodyLimitBytes} bytes`;

export async function readBody(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > bodyLimitBytes) throw new Error(tooLong);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export interface FetchedJson {
  readonly status: number;
  readonly body: unknown;
}

/** Gets a JSON document from another service. Resolves also with a status other than 200. Rejects after `timeoutMs`. */
export function getJson(url: string, headers: Record<string, string>, timeoutMs: number): Promise<FetchedJson> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { headers, createConnection: connectAnew }, (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on("data", (chunk: Buffer) => {
        size += chunk.length;
        if (size > bodyLimitBytes) outgoing.destroy(new Error(`${url}: ${tooLong}`));
        chunks.push(chunk);
      });
      answer.on("error", reject);
      answer.on("end", () => {
        resolve({ status: answer.statusCode ?? 500, body: jsonOf(Buffer.concat(chunks).toString("utf8")) });
      });
    });
    const limit = setTimeout(
      () => outgoing.destroy(new Error(`${url}: no whole answer in ${timeoutMs} ms`)),
      timeoutMs,
    );
    outgoing.on("error", reject);
    outgoing.on("close", () => clearTimeout(limit));
    outgoing.end();
  });
}

/**
 * Opens a connection for one call, so that the next response may come from another pod or version. Node's way to do so,
 * `agent: false`, makes an agent for each call as well.
 */
function connectAnew({ host, port }: ClientRequestArgs): Socket {
  return connect({ host: host ?? "", port: Number(port), lookup: lookupOnce });
}

/** How long a found address is used again. A lookup takes a thread, and several messages to the mesh's resolver. */
const addressMs = 1_000;
const maxAddresses = 16;
const addresses = new Map<string, { readonly found: readonly LookupAddress[]; readonly untilMs: number }>();

const lookupOnce: LookupFunction = (host, options, callback) => {
  const answer = (found: readonly LookupAddress[]): void => {
    const [first] = found;
    if (options.all === true) callback(null, [...found]);
    else callback(null, first?.address ?? "", first?.family ?? 0);
  };
  const known = addresses.get(host);
  if (known !== undefined && performance.now() < known.untilMs) return process.nextTick(answer, known.found);
  lookup(host, { ...options, all: true }, (error, found) => {
    if (error !== null) return callback(error, []);
    if (addresses.size >= maxAddresses) addresses.clear();
    addresses.set(host, { found, untilMs: performance.now() + addressMs });
    answer(found);
  });
};

/** Returns null for a body that is not JSON, such as a proxy's error message. */
function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/**
 * The time after which all modules are loaded, so that their compiled code can be written. Node writes it only when a
 * process ends by itself, and a lab kills most of its pods.
 */
const cacheAfterMs = 3_000;

/** Some clients do not know yet that this pod ends, so serve them a moment longer. */
const lingerMs = 1_000;

/**
 * Serves until a moment after SIGTERM, then finishes the open requests and ends. A kept-alive client learns from its
 * next response that the connection closes. Closing it at once could lose a request that the client is just sending.
 */
export function serve(name: string, port: number, handler: Handler): void {
  let ending = false;
  const server = createServer((message, response) => {
    if (ending) response.shouldKeepAlive = false;
    const url = new URL(message.url ?? "/", "http://app");
    Promise.resolve(handler(message, response, url)).catch((error: unknown) => {
      process.stderr.write(`${name}: ${String(error)}\n`);
      if (!response.headersSent) sendJson(response, 500, { error: "internal error" });
      else response.destroy();
    });
  });
  server.keepAliveTimeout = 3_600_000;
  setTimeout(flushCompileCache, cacheAfterMs).unref();
  server.listen(port, () => process.stdout.write(`${name} listens on port ${port}\n`));
  process.on("SIGTERM", () => {
    ending = true;
    setTimeout(() => {
      server.close(() => process.exit(0));
      server.closeIdleConnections();
    }, lingerMs);
  });
}
