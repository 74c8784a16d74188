import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { logLevels, nodeHttp, type LogThreshold } from "../../base/index.ts";
import { foreignPage } from "../../base/foreign-page/index.ts";
import { json, type HttpAnswer } from "./http-endpoints.ts";
import { listening, readBody } from "./http-server.ts";

/** The whole process has one level, so there is only one scope. */
const scopeName = "default";
const path = "/scopej/";
const maxBodyBytes = 64 << 10;

/**
 * Serves the log level like istiod's ControlZ, only on the loopback: GET `/scopej/` returns the level, PUT
 * `/scopej/default` sets it.
 */
export async function serveLogControl(port: number, threshold: LogThreshold): Promise<Server> {
  const server = await listening(
    nodeHttp().createServer((request, response) => void answer(request, response, threshold)),
    "127.0.0.1",
    port,
  );
  server.unref();
  return server;
}

async function answer(request: IncomingMessage, response: ServerResponse, threshold: LogThreshold): Promise<void> {
  const {
    status,
    body,
    contentType = "text/plain; charset=utf-8",
  } = await answerOf(request, threshold).catch((): HttpAnswer => ({
    status: 400,
    body: "the request cannot be read\n",
  }));
  response.writeHead(status, { "content-type": contentType });
  response.end(body);
}

async function answerOf(request: IncomingMessage, threshold: LogThreshold): Promise<HttpAnswer> {
  const foreign = foreignPage(request);
  if (foreign !== undefined) return { status: 403, body: `${foreign}\n` };
  const { pathname: requestPath } = new URL(request.url ?? "/", "http://localhost");
  // istioctl leaves out the path's last slash.
  const pathname = `${requestPath}/` === path ? path : requestPath;
  if (pathname !== path && pathname !== path + scopeName)
    return { status: 404, body: `no such path; available paths: ${path}, ${path}${scopeName}\n` };
  const scope = (): unknown => ({
    name: scopeName,
    description: "All log lines.",
    output_level: threshold.level,
    stack_trace_level: "none",
    log_callers: false,
  });
  if (request.method === "GET") return json(pathname === path ? [scope()] : scope());
  if (request.method !== "PUT" || pathname === path) return { status: 405, body: "use GET, or PUT for one scope\n" };
  const { output_level: wanted } = JSON.parse(await readBody(request, maxBodyBytes)) as {
    readonly output_level?: unknown;
  };
  const level = logLevels.find((known) => known === wanted);
  if (level === undefined) return { status: 400, body: `output_level must be one of ${logLevels.join(", ")}\n` };
  threshold.level = level;
  return { status: 202, body: "" };
}
