// Serves long responses: a TCP echo by lines, a WebSocket echo, and a download of any duration.
//   node streams.ts <tcp port> <http port>          GET /download?seconds=60&everyMs=100    GET /socket (WebSocket)
// When the pod is stopped, the server tells its clients within the protocol, by the line `goodbye` or WebSocket's
// status 1001. So a client can distinguish the end of the pod from a connection that something in between has closed.
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer as createTcpServer, type Socket } from "node:net";
import { WebSocketServer, type WebSocket } from "ws";
import { downloadEnd, downloadLine, goodbye, goingAway } from "./stream-protocol.ts";

// An import would load every export of node:http, and its WebSocket loads all of undici.
const { createServer: createHttpServer } = process.getBuiltinModule("node:http");

const [tcpPort = "9000", httpPort = "8080"] = process.argv.slice(2);
const lineLimitBytes = 1_048_576;
const defaultLineEveryMs = 100;
/** Clients close a connection that is silent for ten seconds. */
const maxLineEveryMs = 5000;
const maxDownloadSeconds = 86_400;
/** Some clients do not know yet that this pod ends, so serve them a moment longer. */
const lingerMs = 500;
/** How long clients have to read the goodbyes. */
const graceMs = 2000;

const streams = new Set<Socket>();
const downloads = new Set<Download>();
const sockets = new Set<WebSocket>();
let ending = false;

function serveStream(socket: Socket): void {
  let rest = "";
  streams.add(socket);
  socket.setNoDelay(true);
  socket.setEncoding("utf8");
  socket.on("close", () => streams.delete(socket));
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > lineLimitBytes) socket.destroy();
    if (lines.length > 0) socket.write(lines.map((line) => `echo ${line}\n`).join(""));
  });
}

/** Sends a numbered line at a regular interval. The last line contains their number. */
class Download {
  readonly #response: ServerResponse;
  readonly #wanted: number;
  readonly #timer: NodeJS.Timeout;
  #sent = 0;

  constructor(response: ServerResponse, seconds: number, lineEveryMs: number) {
    this.#response = response;
    this.#wanted = Math.ceil((seconds * 1000) / lineEveryMs);
    this.#timer = setInterval(() => this.#next(), lineEveryMs);
    response.writeHead(200, { "content-type": "text/plain" });
    response.on("close", () => this.#stop());
  }

  #next(): void {
    if (this.#sent === this.#wanted) return this.#end(downloadEnd(this.#sent));
    this.#response.write(downloadLine(this.#sent));
    this.#sent += 1;
  }

  interrupt(): void {
    this.#end(`${goodbye}\n`);
  }

  #end(line: string): void {
    this.#stop();
    this.#response.end(line);
  }

  #stop(): void {
    clearInterval(this.#timer);
    downloads.delete(this);
  }
}

function answer({ url = "" }: IncomingMessage, response: ServerResponse): void {
  if (ending) response.shouldKeepAlive = false;
  const { pathname, searchParams } = new URL(url, "http://streams");
  if (pathname === "/download") {
    const seconds = Number(searchParams.get("seconds") ?? "60");
    const everyMs = Number(searchParams.get("everyMs") ?? String(defaultLineEveryMs));
    if (!(seconds > 0 && seconds <= maxDownloadSeconds))
      response.writeHead(400).end(`seconds must be above 0 and at most ${maxDownloadSeconds}\n`);
    else if (!(everyMs >= 1 && everyMs <= maxLineEveryMs))
      response.writeHead(400).end(`everyMs must be between 1 and ${maxLineEveryMs}\n`);
    else downloads.add(new Download(response, seconds, everyMs));
    return;
  }
  if (pathname === "/health") response.writeHead(200).end("healthy\n");
  else response.writeHead(404).end("not found\n");
}

const tcp = createTcpServer(serveStream).listen(Number(tcpPort), () =>
  process.stdout.write(`streams listens on port ${tcpPort}\n`),
);
const http = createHttpServer(answer).listen(Number(httpPort), () =>
  process.stdout.write(`streams listens on port ${httpPort}\n`),
);
const webSockets = new WebSocketServer({ server: http, path: "/socket", maxPayload: lineLimitBytes });
webSockets.on("connection", (socket) => {
  sockets.add(socket);
  socket.on("close", () => sockets.delete(socket));
  socket.on("error", () => socket.terminate());
  socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
});

process.on("SIGTERM", () => {
  ending = true;
  setTimeout(() => {
    for (const socket of streams) socket.end(`${goodbye}\n`);
    for (const download of downloads) download.interrupt();
    for (const socket of sockets) socket.close(goingAway, goodbye);
    tcp.close();
    http.close();
    http.closeIdleConnections();
    setTimeout(() => process.exit(0), graceMs).unref();
  }, lingerMs);
});
