import type { IncomingMessage, ServerResponse } from "node:http";
import {
  aborted,
  describeError,
  messageOf,
  nodeHttp,
  userError,
  type Logger,
  limitConnections,
} from "../../base/index.ts";
import { foreignPage } from "../../base/foreign-page/index.ts";
import { inTurns, type NextTurn } from "../../base/request-turns/index.ts";
import { contentSecurityPolicy } from "./page.ts";

export interface WebRequest {
  readonly method: string;
  /** Without the query, and not percent-decoded. */
  readonly path: string;
  /** The parameters in the query, and in the form of a POST. */
  readonly params: URLSearchParams;
  readonly clientAddress: string;
  /**
   * Waits until all other clients have had a turn. A long calculation calls this between its parts. Rejects if the
   * client has left.
   */
  readonly nextTurn: NextTurn;
}

export interface WebAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export type WebHandler = (request: WebRequest) => Promise<WebAnswer>;

export interface ServeWebOptions {
  /** Empty means all addresses. */
  readonly host: string;
  readonly port: number;
  readonly log: Logger;
}

/** The maximum size of a form. A query has at most 100,000 characters, and a form may encode each in three bytes. */
const maxBodyBytes = 320 << 10;

/** Pages contain texts that pods have written, so a browser must not guess their type or run anything in them. */
const securityHeaders = {
  "content-security-policy": contentSecurityPolicy,
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
} as const;

/** Serves plain HTTP until the signal aborts. Throws a user error if it cannot listen on the port. */
export async function serveWeb(
  handle: WebHandler,
  { host, port, log }: ServeWebOptions,
  signal: AbortSignal,
): Promise<void> {
  const server = nodeHttp().createServer(
    inTurns((request, response, nextTurn) => {
      void answer(request, response, handle, nextTurn).catch((error: unknown) => {
        log.warn("a request failed", { url: request.url, error: describeError(error) });
        if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain; charset=utf-8" });
        response.end(`${messageOf(error)}\n`);
      });
    }),
  );
  limitConnections(server);
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) =>
      reject(
        userError("cannot-listen", `cannot listen on ${host === "" ? "*" : host}:${port}: ${messageOf(cause)}`, {
          cause,
        }),
      ),
    );
    server.listen({ port, ...(host === "" ? {} : { host }) }, resolve);
  });
  log.info("listening", { host, port });
  await aborted(signal);
  server.close();
  server.closeAllConnections();
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handle: WebHandler,
  nextTurn: NextTurn,
): Promise<void> {
  for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value);
  const foreign = foreignPage(request);
  if (foreign !== undefined) {
    response.writeHead(403, { "content-type": "text/plain; charset=utf-8" }).end(`${foreign}\n`);
    return;
  }
  const url = URL.parse(request.url ?? "/", "http://localhost");
  if (url === null) {
    response.writeHead(400).end("the request's path is not a valid URL\n");
    return;
  }
  const params = url.searchParams;
  if (request.method === "POST") {
    for (const [name, value] of new URLSearchParams(await formOf(request))) params.append(name, value);
    // If the body has arrived after the head, the turn in which the request began is over.
    await nextTurn();
  }
  const {
    status,
    contentType,
    body,
    headers = {},
  } = await handle({
    method: request.method ?? "GET",
    path: url.pathname,
    params,
    // Undefined if the socket has closed.
    clientAddress: request.socket.remoteAddress ?? "",
    nextTurn,
  });
  response.writeHead(status, { "content-type": contentType, "content-length": Buffer.byteLength(body), ...headers });
  response.end(request.method === "HEAD" ? undefined : body);
}

async function formOf(request: IncomingMessage): Promise<string> {
  if (request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded") !== true) return "";
  let body = "";
  for await (const chunk of request.setEncoding("utf8") as AsyncIterable<string>) {
    body += chunk;
    if (body.length > maxBodyBytes)
      throw userError("request-too-long", `the form is longer than ${maxBodyBytes} bytes`);
  }
  return body;
}

export function htmlAnswer(body: string, status = 200): WebAnswer {
  return { status, contentType: "text/html; charset=utf-8", body };
}

export function jsonAnswer(value: unknown, status = 200): WebAnswer {
  return { status, contentType: "application/json", body: JSON.stringify(value) };
}

export function textAnswer(body: string, status = 200): WebAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

export function redirectTo(location: string): WebAnswer {
  return { ...textAnswer(`${location}\n`, 302), headers: { location } };
}
