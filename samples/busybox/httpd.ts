import { spawn } from "node:child_process";
import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { printError } from "./print.ts";
import { readWords, UsageError } from "./options.ts";

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { createServer } = process.getBuiltinModule("node:http");

const types: Readonly<Record<string, string>> = {
  css: "text/css",
  gif: "image/gif",
  htm: "text/html",
  html: "text/html",
  jpeg: "image/jpeg",
  jpg: "image/jpeg",
  js: "text/javascript",
  json: "application/json",
  png: "image/png",
  svg: "image/svg+xml",
  txt: "text/plain",
};

const texts: Readonly<Record<number, string>> = {
  400: "Bad Request",
  404: "Not Found",
  500: "Internal Server Error",
  501: "Not Implemented",
};

/** `httpd [-f] [-v] [-p [IP:]PORT] [-h HOME]`: serves files. Runs until a signal ends it. */
export async function httpd(words: readonly string[]): Promise<number> {
  const { flags, values, rest } = readWords(words, { flags: ["f", "v"], valued: ["p", "h"] });
  if (rest.length > 0) throw new UsageError(`httpd accepts only options, got '${rest[0] ?? ""}'`);
  if (!flags.has("f")) {
    const program = fileURLToPath(new URL("busybox.ts", import.meta.url));
    spawn(process.execPath, [program, "httpd", "-f", ...words], { detached: true, stdio: "ignore" }).unref();
    return 0;
  }
  const { host, port } = parseListen(values.get("p")?.at(-1) ?? "80");
  const home = await realpath(values.get("h")?.at(-1) ?? ".");
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://httpd").pathname;
    void answer(request.method ?? "GET", path, home, response).catch(() => response.destroy());
    response.once("close", () => {
      if (flags.has("v")) printError(`${request.socket.remoteAddress ?? ""}: response:${response.statusCode}`);
    });
  });
  // A client such as `printf … | nc` ends its side before it has the answer. Node would drop the answer then.
  Object.assign(server, { httpAllowHalfOpen: true });
  return await new Promise((resolve, reject) => {
    server.once("error", reject);
    for (const signal of ["SIGTERM", "SIGINT"] as const)
      process.once(signal, () => {
        server.close(() => resolve(0));
        server.closeAllConnections();
      });
    server.listen(port, host);
  });
}

function parseListen(text: string): { host: string | undefined; port: number } {
  const [, host, digits] = /^(?:(.+):)?(\d+)$/.exec(text) ?? [];
  const port = Number(digits);
  if (digits === undefined || port > 65_535) throw new UsageError(`-p takes [IP:]PORT, got '${text}'`);
  return { host: host?.replace(/^\[(.*)\]$/, "$1"), port };
}

/** Answers with the file, or with the `index.html` of a directory. */
async function answer(method: string, path: string, home: string, response: ServerResponse): Promise<void> {
  if ((method !== "GET" && method !== "HEAD") || path.startsWith("/cgi-bin/")) return refuse(response, 501);
  let requestPath: string;
  try {
    requestPath = decodeURIComponent(path);
  } catch {
    return refuse(response, 400);
  }
  const file = await find(join(home, requestPath), home);
  if (file === undefined) return refuse(response, 404);
  if (file.isDirectory) {
    response.writeHead(302, { location: `${path}/` }).end();
    return;
  }
  const type = types[file.path.split(".").at(-1) ?? ""] ?? "application/octet-stream";
  response.writeHead(200, {
    "content-type": type,
    "content-length": file.bytes,
    "last-modified": file.changed.toUTCString(),
  });
  if (method === "HEAD") response.end();
  else
    createReadStream(file.path)
      .on("error", () => response.destroy())
      .pipe(response);
}

interface Found {
  readonly path: string;
  readonly bytes: number;
  readonly changed: Date;
  /** Whether the path leads to a directory, but has no slash at its end. */
  readonly isDirectory: boolean;
}

/** Finds a file or directory. Returns undefined if it does not exist inside the home directory. */
async function find(requestPath: string, home: string): Promise<Found | undefined> {
  try {
    const wanted = requestPath.endsWith(sep) ? join(requestPath, "index.html") : requestPath;
    const path = await realpath(wanted);
    if (path !== home && !path.startsWith(home === sep ? sep : `${home}${sep}`)) return undefined;
    const status = await stat(path);
    if (!status.isFile() && !status.isDirectory()) return undefined;
    return { path, bytes: status.size, changed: status.mtime, isDirectory: status.isDirectory() };
  } catch {
    return undefined;
  }
}

function refuse(response: ServerResponse, code: number): void {
  const text = texts[code] ?? "";
  const body = `<HTML><HEAD><TITLE>${code} ${text}</TITLE></HEAD>\n<BODY><H1>${code} ${text}</H1></BODY></HTML>\n`;
  response.writeHead(code, { "content-type": "text/html", "content-length": Buffer.byteLength(body) }).end(body);
}
