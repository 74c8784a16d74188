// Answers with the content of the request, in the ways in which people test proxies. With HTTPBIN_LISTS=true, headers
// and arguments are lists, as in the Go implementation. In the Python one they are single strings.
import { createHash, randomBytes, randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { readBody, sendText, serve } from "../bookinfo/src/http-app.ts";

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { STATUS_CODES } = process.getBuiltinModule("node:http");

const givesLists = process.env["HTTPBIN_LISTS"] === "true";
const maxDelaySeconds = 10;
const maxBytes = 100 * 1024;
const maxRedirects = 20;

/**
 * Returns the port to listen on. It comes from `-b 0.0.0.0:8080`, like the Python server's flag, or from the
 * environment.
 */
function listenPort(): number {
  const bind = process.argv[process.argv.indexOf("-b") + 1];
  const portText = process.argv.includes("-b") ? bind?.split(":").at(-1) : process.env["PORT"];
  return Number(portText ?? (givesLists ? 8080 : 80));
}

type Values = Record<string, string | readonly string[]>;

function titleCase(name: string): string {
  return name
    .split("-")
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("-");
}

function headersOf(request: IncomingMessage): Values {
  const found: Values = {};
  for (const [name, values = []] of Object.entries(request.headersDistinct))
    found[titleCase(name)] = givesLists ? values : values.join(",");
  return Object.fromEntries(Object.entries(found).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function argumentsOf(url: URL): Values {
  return Object.fromEntries(
    [...new Set(url.searchParams.keys())].map((name) => {
      const values = url.searchParams.getAll(name);
      return [name, givesLists || values.length > 1 ? values : (values[0] ?? "")];
    }),
  );
}

function clientOf(request: IncomingMessage): string {
  const forwarded = request.headers["x-forwarded-for"];
  return (typeof forwarded === "string" ? forwarded : (request.socket.remoteAddress ?? "")).replace(/^::ffff:/, "");
}

function urlOf(request: IncomingMessage, url: URL): string {
  return `${request.headers["x-forwarded-proto"] === "https" ? "https" : "http"}://${request.headers.host ?? ""}${url.pathname}${url.search}`;
}

function send(
  response: ServerResponse,
  body: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): void {
  const text = `${JSON.stringify(body, null, 2)}\n`;
  response
    .writeHead(status, {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      "access-control-allow-origin": "*",
      ...headers,
    })
    .end(text);
}

async function describe(request: IncomingMessage, url: URL): Promise<Record<string, unknown>> {
  const base = {
    args: argumentsOf(url),
    headers: headersOf(request),
    method: request.method,
    origin: clientOf(request),
    url: urlOf(request, url),
  };
  if (request.method === "GET" || request.method === "HEAD") return base;
  const data = await readBody(request);
  const isForm = (request.headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded");
  return {
    ...base,
    data: isForm ? "" : data,
    files: {},
    form: isForm ? argumentsOf(new URL(`http://form/?${data}`)) : {},
    json: jsonOr(data),
  };
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function redirect(response: ServerResponse, location: string, status = 302): void {
  response.writeHead(status, { location, "content-length": 0 }).end();
}

/** Chooses one of several statuses by their weights: `200:0.9,503:0.1`. Without weights, all are equally likely. */
function chooseStatus(text: string): number {
  const choices = text
    .split(",")
    .map((choice) => ({ code: Number(choice.split(":")[0]), weight: Number(choice.split(":")[1] ?? 1) }));
  let left = Math.random() * choices.reduce((sum, choice) => sum + choice.weight, 0);
  for (const choice of choices) {
    left -= choice.weight;
    if (left <= 0) return choice.code;
  }
  return choices[0]?.code ?? 200;
}

function sendStatus(response: ServerResponse, code: number): void {
  if (!Number.isInteger(code) || code < 200 || code > 599)
    return send(response, { error: `invalid status ${code}` }, 400);
  const location = code >= 301 && code <= 308 && code !== 304 ? { location: "/redirect/1" } : {};
  response.writeHead(code, STATUS_CODES[code] ?? "Unknown", { "content-length": 0, ...location }).end();
}

function credentialsOf(request: IncomingMessage): string {
  const [scheme = "", value = ""] = (request.headers.authorization ?? "").split(" ");
  return scheme.toLowerCase() === "basic" ? Buffer.from(value, "base64").toString("utf8") : "";
}

type Route = (
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  words: readonly string[],
) => Promise<void> | void;

const describeRequest: Route = async (request, response, url) => send(response, await describe(request, url));

const only =
  (method: string): Route =>
  async (request, response, url, words) => {
    if (request.method === method) return await describeRequest(request, response, url, words);
    response.writeHead(405, { allow: method, "content-length": 0 }).end();
  };

/** Routes by the first segment of the path. */
const routes: Readonly<Record<string, Route>> = {
  "": (_request, response) =>
    sendText(
      response,
      200,
      "text/html; charset=utf-8",
      "<!DOCTYPE html><title>httpbin.org</title><h1>httpbin.org</h1>",
    ),
  get: async (request, response, url) => send(response, await describe(request, url)),
  post: only("POST"),
  put: only("PUT"),
  patch: only("PATCH"),
  delete: only("DELETE"),
  anything: describeRequest,
  headers: (request, response) => send(response, { headers: headersOf(request) }),
  ip: (request, response) => send(response, { origin: clientOf(request) }),
  "user-agent": (request, response) => send(response, { "user-agent": request.headers["user-agent"] ?? "" }),
  hostname: (_request, response) => send(response, { hostname: process.env["HOSTNAME"] ?? "" }),
  uuid: (_request, response) => send(response, { uuid: randomUUID() }),
  status: (_request, response, _url, [code = "200"]) => sendStatus(response, chooseStatus(code)),
  delay: async (request, response, url, [seconds = "0"]) => {
    await sleep(Math.min(Number(seconds) || 0, maxDelaySeconds) * 1000);
    send(response, await describe(request, url));
  },
  html: (_request, response) =>
    sendText(
      response,
      200,
      "text/html; charset=utf-8",
      "<!DOCTYPE html><html><body><h1>Herman Melville - Moby-Dick</h1></body></html>",
    ),
  json: (_request, response) =>
    send(response, { slideshow: { author: "Yours Truly", title: "Sample Slide Show", slides: [] } }),
  xml: (_request, response) =>
    sendText(response, 200, "application/xml", '<?xml version="1.0"?><slideshow title="Sample Slide Show"/>'),
  "robots.txt": (_request, response) => sendText(response, 200, "text/plain", "User-agent: *\nDisallow: /deny\n"),
  bytes: (_request, response, _url, [count = "0"]) => {
    const bytes = randomBytes(Math.min(Number(count) || 0, maxBytes));
    response.writeHead(200, { "content-type": "application/octet-stream", "content-length": bytes.length }).end(bytes);
  },
  gzip: (request, response) => {
    const body = gzipSync(
      `${JSON.stringify({ gzipped: true, headers: headersOf(request), method: request.method, origin: clientOf(request) })}\n`,
    );
    response
      .writeHead(200, { "content-type": "application/json", "content-encoding": "gzip", "content-length": body.length })
      .end(body);
  },
  stream: (request, response, url, [count = "1"]) => {
    response.writeHead(200, { "content-type": "application/json" });
    for (let id = 0; id < Math.min(Number(count) || 1, 100); id += 1)
      response.write(
        `${JSON.stringify({ id, args: argumentsOf(url), headers: headersOf(request), url: urlOf(request, url) })}\n`,
      );
    response.end();
  },
  redirect: (_request, response, _url, [count = "1"]) => {
    const left = Math.min(Number(count) || 1, maxRedirects) - 1;
    redirect(response, left < 1 ? "/get" : `/redirect/${left}`);
  },
  "redirect-to": (_request, response, url) =>
    redirect(response, url.searchParams.get("url") ?? "/get", Number(url.searchParams.get("status_code") ?? 302)),
  "response-headers": (_request, response, url) =>
    send(response, argumentsOf(url), 200, Object.fromEntries(url.searchParams)),
  cookies: (request, response, url, [verb]) => {
    if (verb === "set")
      return response
        .writeHead(302, {
          location: "/cookies",
          "set-cookie": [...url.searchParams].map(([name, value]) => `${name}=${value}; Path=/`),
          "content-length": 0,
        })
        .end() as unknown as void;
    const cookies = (request.headers.cookie ?? "")
      .split(/;\s*/)
      .filter((cookie) => cookie !== "")
      .map((cookie) => cookie.split("=", 2));
    send(response, { cookies: Object.fromEntries(cookies) as Record<string, string> });
  },
  "basic-auth": (request, response, _url, [user = "", password = ""]) => {
    if (credentialsOf(request) === `${user}:${password}`)
      return send(response, { authenticated: true, authorized: true, user });
    response.writeHead(401, { "www-authenticate": 'Basic realm="Fake Realm"', "content-length": 0 }).end();
  },
  bearer: (request, response) => {
    const token = /^Bearer (.+)$/i.exec(request.headers.authorization ?? "")?.[1];
    if (token !== undefined) return send(response, { authenticated: true, token });
    response.writeHead(401, { "www-authenticate": "Bearer", "content-length": 0 }).end();
  },
  base64: (_request, response, _url, [value = ""]) =>
    sendText(response, 200, "text/plain", Buffer.from(value.replace(/^decode\//, ""), "base64").toString("utf8")),
  etag: (request, response, _url, [etag = ""]) => {
    if (request.headers["if-none-match"] === `"${etag}"`) return sendStatus(response, 304);
    send(response, { etag, digest: createHash("sha256").update(etag).digest("hex") }, 200, { etag: `"${etag}"` });
  },
  health: (_request, response) => sendText(response, 200, "text/plain", "ok"),
};

serve("httpbin", listenPort(), async (request, response, url) => {
  const [, first = "", ...words] = url.pathname.split("/").map(decodeURIComponent);
  const route = routes[first];
  if (route === undefined) return send(response, { error: "not found" }, 404);
  await route(request, response, url, words);
});
