import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { messageOf, toSerinError, transientError, type SerinError } from "../../base/index.ts";

/** Answers a GET, or undefined for a path that it does not know. */
export type HttpRoute = (url: URL, request: IncomingMessage) => HttpAnswer | Promise<HttpAnswer>;

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

export function json(value: unknown, status = 200): HttpAnswer {
  return { status, body: `${JSON.stringify(value)}\n`, contentType: "application/json" };
}

/** A small HTTP server for operators and probes: exact paths, GET only. */
export async function serveHttp(address: string, port: number, routes: Readonly<Record<string, HttpRoute>>): Promise<Server> {
  const server = createServer((request, response) => void answer(routes, request, response));
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) => reject(transientError("cannot-listen", `cannot listen on ${address}:${port}: ${error.message}`, { cause: error })));
    server.listen(port, address, resolve);
  });
  return server;
}

async function answer(routes: Readonly<Record<string, HttpRoute>>, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "http://localhost");
  const route = routes[url.pathname];
  let result: HttpAnswer;
  if (route === undefined) result = { status: 404, body: `no such path; there are ${Object.keys(routes).sort().join(", ")}\n` };
  else if (request.method !== "GET" && request.method !== "HEAD") result = { status: 405, body: "use GET\n" };
  else {
    try {
      result = await route(url, request);
    } catch (error) {
      result = { status: statusOf(toSerinError(error)), body: `${messageOf(error)}\n` };
    }
  }
  response.writeHead(result.status, { "content-type": result.contentType ?? "text/plain; charset=utf-8" });
  response.end(request.method === "HEAD" ? "" : result.body);
}

function statusOf(error: SerinError): number {
  if (error.kind === "user") return 400;
  return error.kind === "transient" ? 503 : 500;
}
