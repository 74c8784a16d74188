import type { IncomingMessage, Server, ServerResponse } from "node:http";
import {
  isLoopbackAddress,
  limitConnections,
  messageOf,
  nodeHttp,
  toSerinError,
  type SerinError,
} from "../../base/index.ts";
import { foreignPage } from "../../base/foreign-page/index.ts";
import { inTurns } from "../../base/request-turns/index.ts";
import { listening } from "./http-server.ts";

/** Answers a GET. */
export type HttpRoute = (url: URL, request: IncomingMessage) => HttpAnswer | Promise<HttpAnswer>;

export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
  readonly contentType?: string;
}

export function json(value: unknown, status = 200): HttpAnswer {
  return { status, body: `${JSON.stringify(value)}\n`, contentType: "application/json" };
}

/**
 * Restricts a route to callers on this machine, which includes port-forwards. Others get 401. Only the connection's
 * address counts, no header.
 */
export function forLoopback(route: HttpRoute): HttpRoute {
  return (url, request) => {
    return isLoopbackAddress(request.socket.remoteAddress ?? "")
      ? route(url, request)
      : { status: 401, body: "only callers on the loopback are allowed here; use port forwarding to the pod\n" };
  };
}

/** Authenticates the service account of a caller. Rejects if the caller has no valid credentials. */
export type AuthenticateRequest = (request: IncomingMessage) => Promise<{ readonly namespace: string }>;

/**
 * Restricts a route to callers on this machine, and to authenticated callers that may request the path. As in upstream,
 * others get 401 or 403 (ENABLE_DEBUG_ENDPOINT_AUTH).
 */
export function forKnownCallers(
  route: HttpRoute,
  authenticate: AuthenticateRequest,
  mayAsk: (namespace: string, url: URL) => boolean,
): HttpRoute {
  return async (url, request) => {
    if (isLoopbackAddress(request.socket.remoteAddress ?? "")) return await route(url, request);
    let namespace: string;
    try {
      ({ namespace } = await authenticate(request));
    } catch (error) {
      const known = toSerinError(error);
      return {
        status: known.kind === "user" ? 401 : 503,
        body: `${known.message}; or use port forwarding to the pod\n`,
      };
    }
    return mayAsk(namespace, url)
      ? await route(url, request)
      : { status: 403, body: `callers of the namespace ${namespace} may not read ${url.pathname}\n` };
  };
}

/** A small HTTP server for operators and probes: exact paths, GET only. */
export async function serveHttp(
  address: string,
  port: number,
  routes: Readonly<Record<string, HttpRoute>>,
): Promise<Server> {
  const server = nodeHttp().createServer(inTurns((request, response) => void answer(routes, request, response)));
  limitConnections(server);
  return await listening(server, address, port);
}

async function answer(
  routes: Readonly<Record<string, HttpRoute>>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const {
    status,
    body,
    contentType = "text/plain; charset=utf-8",
  } = await answerOf(routes, request).catch((error: unknown) => ({
    status: statusOf(toSerinError(error)),
    body: `${messageOf(error)}\n`,
    contentType: undefined,
  }));
  response.writeHead(status, { "content-type": contentType });
  response.end(request.method === "HEAD" ? "" : body);
}

async function answerOf(routes: Readonly<Record<string, HttpRoute>>, request: IncomingMessage): Promise<HttpAnswer> {
  const foreign = foreignPage(request);
  if (foreign !== undefined) return { status: 403, body: `${foreign}\n` };
  const url = urlOf(request);
  const route = url === undefined || !Object.hasOwn(routes, url.pathname) ? undefined : routes[url.pathname];
  if (url === undefined || route === undefined)
    return { status: 404, body: `no such path; available paths: ${Object.keys(routes).sort().join(", ")}\n` };
  if (request.method !== "GET" && request.method !== "HEAD") return { status: 405, body: "use GET\n" };
  return await route(url, request);
}

/**
 * The URL of a request. Undefined if its target is not a path. Several slashes at the beginning count as one, as in
 * Go's servers: istioctl asks for `//version`.
 */
function urlOf(request: IncomingMessage): URL | undefined {
  return URL.parse((request.url ?? "/").replace(/^\/+/, "/"), "http://localhost") ?? undefined;
}

function statusOf(error: SerinError): number {
  if (error.kind === "user") return 400;
  return error.kind === "transient" ? 503 : 500;
}
