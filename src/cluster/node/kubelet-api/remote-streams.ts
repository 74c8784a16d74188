import type { IncomingMessage } from "node:http";
import { Duplex, PassThrough, Writable, type Readable } from "node:stream";
import type { WebSocket } from "ws";
import { userError } from "../../../base/index.ts";
import { SpdyConnection, type SpdyDuplex } from "./spdy-connection.ts";

/** The streams of a client's exec or attach, over any of the supported protocols. */
export interface RemoteStreams {
  readonly stdin: Readable | undefined;
  readonly stdout: Writable | undefined;
  readonly stderr: Writable | undefined;
  /** Calls the listener with each new size of the client's terminal, in columns and rows. */
  onResize(listener: (columns: number, rows: number) => void): void;
  onClose(listener: () => void): void;
  /** Waits until all written output is sent. Then sends a Status (meta.k8s.io/v1) and ends the streams. */
  finish(status: unknown): Promise<void>;
  /** Ends the connection at once, without a status. */
  close(): void;
}

export interface WantedStreams {
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly tty: boolean;
}

const openTimeoutMs = 10_000;
/** The maximum size of a WebSocket message. A larger message ends the connection. */
const maxWebSocketFrameBytes = 4 << 20;
const spdyProtocols = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const webSocketProtocols = ["v5.channel.k8s.io", "v4.channel.k8s.io"];

/** Accepts an upgrade to SPDY or WebSocket. Throws a user error for any other protocol. */
export async function acceptRemoteStreams(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: WantedStreams,
): Promise<RemoteStreams> {
  const upgrade = request.headers.upgrade?.toLowerCase() ?? "";
  if (upgrade.startsWith("spdy/")) return await acceptSpdy(request, socket, head, wanted);
  if (upgrade === "websocket") return await acceptWebSocket(request, socket, head, wanted);
  throw userError("stream-refused", "unable to upgrade: SPDY/3.1 or websocket is needed");
}

export function answerSpdyUpgrade(socket: Duplex, protocol: string): void {
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: ${protocol}\r\n\r\n`,
  );
}

async function acceptSpdy(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: WantedStreams,
): Promise<RemoteStreams> {
  const offered = String(request.headers["x-stream-protocol-version"] ?? "").split(/,\s*/);
  const protocol = spdyProtocols.find((candidate) => offered.includes(candidate)) ?? "v4.channel.k8s.io";
  const names = [
    "error",
    ...(wanted.stdin ? ["stdin"] : []),
    ...(wanted.stdout ? ["stdout"] : []),
    ...(wanted.stderr && !wanted.tty ? ["stderr"] : []),
  ];
  if (wanted.tty && (protocol.startsWith("v3") || protocol.startsWith("v4"))) names.push("resize");
  const streams = new Map<string, SpdyDuplex>();
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(
    () => reject(userError("stream-refused", `the client did not open the streams ${names.join(", ")}`)),
    openTimeoutMs,
  );
  answerSpdyUpgrade(socket, protocol);
  const connection = new SpdyConnection(socket, (stream) => {
    streams.set(stream.header("streamtype") ?? "", stream);
    if (names.every((name) => streams.has(name))) resolve();
  });
  if (head.length > 0) socket.unshift(head);
  socket.once("close", () => reject(userError("stream-refused", "the client went away")));
  try {
    await promise;
  } catch (error) {
    connection.close();
    throw error;
  } finally {
    clearTimeout(timer);
  }
  const resize = new ResizeListeners();
  streams.get("resize")?.on("data", (chunk: Buffer) => resize.take(chunk));
  return {
    stdin: streams.get("stdin"),
    stdout: streams.get("stdout"),
    stderr: streams.get("stderr"),
    onResize: (listener) => resize.add(listener),
    onClose: (listener) => void socket.once("close", listener),
    finish: async (status) => {
      await Promise.all(["stdout", "stderr"].map(async (name) => await allSent(streams.get(name))));
      await new Promise<void>((done) => streams.get("error")?.end(JSON.stringify(status), () => done()));
      await connection.end();
    },
    close: () => connection.close(),
  };
}

/** Ends a stream. Waits until its connection has taken all data, or is gone. */
async function allSent(stream: Writable | undefined): Promise<void> {
  if (stream !== undefined) await new Promise<void>((done) => stream.end(() => done()));
}

const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

async function acceptWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  wanted: WantedStreams,
): Promise<RemoteStreams> {
  const webSocket = await upgradeWebSocket(request, socket, head, webSocketProtocols);
  const stdin = wanted.stdin ? new PassThrough() : undefined;
  const resize = new ResizeListeners();
  stdin?.on("drain", () => webSocket.resume());
  webSocket.on("message", (message: Buffer) => {
    const [number] = message;
    const data = message.subarray(1);
    if (number === channel.stdin && stdin !== undefined) {
      // Ignore data after the end of the client's input. Pause the socket while the program does not read.
      if (!stdin.writableEnded && !stdin.write(data)) webSocket.pause();
    } else if (number === channel.resize) resize.take(data);
    else if (number === channel.close && data[0] === channel.stdin) stdin?.end();
  });
  webSocket.on("close", () => stdin?.end());
  webSocket.on("error", () => undefined);
  const output = (number: number): Writable =>
    new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        if (webSocket.readyState !== webSocket.OPEN) done();
        else webSocket.send(Buffer.concat([Buffer.of(number), chunk]), () => done());
      },
    });
  const stdout = wanted.stdout ? output(channel.stdout) : undefined;
  const stderr = wanted.stderr && !wanted.tty ? output(channel.stderr) : undefined;
  return {
    stdin,
    stdout,
    stderr,
    onResize: (listener) => resize.add(listener),
    onClose: (listener) => void webSocket.once("close", listener),
    finish: async (status) => {
      await Promise.all([stdout, stderr].map(allSent));
      if (webSocket.readyState !== webSocket.OPEN) return;
      await new Promise<void>((done) =>
        webSocket.send(Buffer.concat([Buffer.of(channel.error), Buffer.from(JSON.stringify(status))]), () => done()),
      );
      webSocket.close(1000);
    },
    close: () => webSocket.terminate(),
  };
}

/** Accepts a WebSocket upgrade with the first supported protocol that the client offers. */
export async function upgradeWebSocket(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  protocols: readonly string[],
): Promise<WebSocket> {
  const offered = (request.headers["sec-websocket-protocol"] ?? "").split(/,\s*/);
  const chosen = protocols.find((protocol) => offered.includes(protocol));
  if (chosen === undefined)
    throw userError(
      "stream-refused",
      `none of the protocols ${offered.join(", ")} is supported; supported: ${protocols.join(", ")}`,
    );
  // Answer the header here, because the package ws refuses protocol names with a slash, such as
  // SPDY/3.1+portforward.k8s.io.
  delete request.headers["sec-websocket-protocol"];
  // `ws` is loaded on demand, because an idle node does not need it.
  const { WebSocketServer } = await import("ws");
  const server = new WebSocketServer({ noServer: true, maxPayload: maxWebSocketFrameBytes, perMessageDeflate: false });
  server.on("headers", (headers: string[]) => headers.push(`Sec-WebSocket-Protocol: ${chosen}`));
  return await new Promise((resolve) => server.handleUpgrade(request, socket, head, resolve));
}

/** The binary messages of a WebSocket as one stream of bytes. */
export function webSocketBytes(webSocket: WebSocket): Duplex {
  const stream = new Duplex({
    read: () => webSocket.resume(),
    write: (chunk: Buffer, _encoding, done) => {
      if (webSocket.readyState === webSocket.OPEN) webSocket.send(chunk, () => done());
      else done();
    },
    final: (done) => {
      webSocket.close(1000);
      done();
    },
    destroy: (_error, done) => {
      webSocket.terminate();
      done(null);
    },
  });
  webSocket.on("message", (message: Buffer) => {
    if (!stream.push(message)) webSocket.pause();
  });
  webSocket.on("close", () => stream.push(null));
  webSocket.on("error", () => stream.destroy());
  return stream;
}

/** Parses new terminal sizes, which come as a sequence of JSON objects. */
class ResizeListeners {
  readonly #listeners: ((columns: number, rows: number) => void)[] = [];
  #last: [number, number] | undefined;

  add(listener: (columns: number, rows: number) => void): void {
    this.#listeners.push(listener);
    if (this.#last !== undefined) listener(...this.#last);
  }

  take(chunk: Buffer): void {
    for (const text of chunk.toString("utf8").match(/\{[^{}]*\}/g) ?? []) {
      const size = sizeOf(text);
      if (size === undefined) continue;
      this.#last = size;
      for (const listener of this.#listeners) listener(...size);
    }
  }
}

/** The maximum number of columns and rows. The kernel stores each in 16 bits. */
const maxSize = 0xffff;

/**
 * Returns the columns and rows, or undefined for an invalid size. It does not throw, because an error in the event
 * handler would end the process.
 */
function sizeOf(text: string): [number, number] | undefined {
  try {
    const { Width = 80, Height = 24 } = JSON.parse(text) as { Width?: unknown; Height?: unknown };
    return isSize(Width) && isSize(Height) ? [Width, Height] : undefined;
  } catch {
    return undefined;
  }
}

function isSize(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value > 0 && value <= maxSize;
}
