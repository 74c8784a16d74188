import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { readBytes } from "../../base/joined-bytes/index.ts";
import { limits } from "./limits.ts";
import { refusal } from "../problem.ts";

/** Reads the body as text. Throws `invalid` if its content type is not JSON, and `too-long` if it exceeds the limit. */
export async function readJsonBody(request: IncomingMessage): Promise<string> {
  const type = request.headers["content-type"] ?? "";
  if (!/^application\/json\s*(;|$)/i.test(type))
    throw refusal("invalid", `content-type: expected application/json, got "${type.slice(0, 100)}"`);
  const body = await readBytes(request as AsyncIterable<Buffer>, limits.bodyBytes, () =>
    refusal("too-long", `the body is longer than ${limits.bodyBytes} bytes`),
  );
  return body.toString("utf8");
}

/** Shorter answers are not compressed. */
const leastCompressed = 4_096;

export async function sendJson(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  value: unknown,
): Promise<void> {
  let body: Uint8Array = Buffer.from(JSON.stringify(value));
  if (body.length >= leastCompressed && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "")) {
    body = await promisify(gzip)(body, { level: 1 });
    response.setHeader("content-encoding", "gzip");
  }
  response.setHeader("cache-control", "no-store");
  response.writeHead(status, { "content-type": "application/json", "content-length": String(body.length) });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Answers with lines of plain text, for a browser that has opened the address as a page. */
export function sendText(
  request: IncomingMessage,
  response: ServerResponse,
  status: number,
  lines: readonly string[],
): void {
  const body = Buffer.from(`${lines.join("\n")}\n`);
  response.setHeader("cache-control", "no-store");
  response.writeHead(status, { "content-type": "text/plain; charset=utf-8", "content-length": String(body.length) });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** Whether a browser opens the address as a page. The page's own scripts do not accept HTML. */
export function isOpenedByPerson({ headers }: IncomingMessage): boolean {
  return (headers.accept ?? "").includes("text/html");
}
