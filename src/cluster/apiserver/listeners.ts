import { createSecureServer, type Http2SecureServer } from "node:http2";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { limitConnections, userError, onAbort } from "../../base/index.ts";

/**
 * The maximum number of connections of one listening socket. Without a limit, one pod could use up the server's file
 * descriptors.
 */
const maxConnections = 4096;

/** How long an HTTP/1.1 client may take to send a request's head, and how often the server checks this. */
interface HeadLimit {
  readonly headMs: number;
  readonly lookMs: number;
}

const headLimit: HeadLimit = { headMs: 60_000, lookMs: 30_000 };

/** Where to listen: an address, or a file descriptor that is already bound. */
export type ListenTarget = { readonly host: string; readonly port: number } | { readonly fd: number };

export interface TlsFiles {
  readonly certificate: string;
  readonly key: string;
  /** The CA against which client certificates are checked. */
  readonly clientCa: string;
}

export interface ListenerHandlers {
  request(request: IncomingMessage, response: ServerResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
}

/** One TLS server (HTTP/2 and HTTP/1.1 by ALPN) behind any number of listening sockets. */
export class Listeners {
  readonly #tls: Http2SecureServer;
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();
  /** The number of requests in progress, without upgraded connections. */
  #active = 0;
  #idle: (() => void) | undefined;

  constructor(files: TlsFiles, handlers: ListenerHandlers, { headMs, lookMs }: HeadLimit = headLimit) {
    // These options of HTTP/1.1 servers also work here, but the types of node:http2 lack them.
    const untypedOptions = { connectionsCheckingInterval: lookMs };
    this.#tls = createSecureServer({
      ...untypedOptions,
      cert: files.certificate,
      key: files.key,
      ca: files.clientCa,
      requestCert: true,
      rejectUnauthorized: false,
      allowHTTP1: true,
      minVersion: "TLSv1.2",
      settings: { maxConcurrentStreams: 1000, initialWindowSize: 1 << 20 },
    });
    Object.assign(this.#tls, { headersTimeout: headMs });
    this.#tls.on("request", (request, response) => {
      this.#active++;
      response.on("close", () => {
        this.#active--;
        if (this.#active === 0) this.#idle?.();
      });
      handlers.request(request as unknown as IncomingMessage, response as unknown as ServerResponse);
    });
    this.#tls.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      handlers.upgrade(request, socket, head),
    );
    this.#tls.on("sessionError", () => undefined);
    this.#tls.on("tlsClientError", () => undefined);
    this.#tls.setTimeout(0);
    // This TLS server does not listen itself. The event makes Node.js enforce its time limits for heads and bodies of
    // HTTP/1.1.
    this.#tls.emit("listening");
  }

  async listen(target: ListenTarget): Promise<{ readonly host: string; readonly port: number }> {
    const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => undefined);
      this.#tls.emit("connection", socket);
    });
    limitConnections(server, maxConnections);
    await new Promise<void>((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(target, error)));
      server.listen("fd" in target ? { fd: target.fd } : { host: target.host, port: target.port }, resolve);
    });
    this.#servers.push(server);
    const bound = server.address();
    if (bound === null || typeof bound === "string") return { host: "", port: 0 };
    return { host: bound.address, port: bound.port };
  }

  /**
   * Accepts no more connections. Closes the open ones when no request is in progress, when `graceMs` have passed, or
   * when `forced` is aborted.
   */
  async close(graceMs: number, forced: AbortSignal): Promise<void> {
    const closed = Promise.all(this.#servers.map((server) => new Promise((resolve) => server.close(resolve))));
    await new Promise<void>((resolve) => {
      this.#idle = resolve;
      const timer = setTimeout(resolve, graceMs);
      timer.unref();
      onAbort(forced, resolve);
      if (this.#active === 0) resolve();
    });
    this.#tls.close();
    // Wait for one turn of the event loop, so that answers that were just written leave the process.
    await new Promise((resolve) => setImmediate(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}

function listenError(target: ListenTarget, error: NodeJS.ErrnoException): Error {
  const where = "fd" in target ? `descriptor ${target.fd}` : `${target.host}:${target.port}`;
  if (error.code === "EADDRINUSE")
    return userError("address-in-use", `${where} is in use by another program`, {
      hint: `end that program, or choose another address`,
      cause: error,
    });
  return userError("cannot-listen", `cannot listen on ${where}: ${error.message}`, {
    hint: "check that the address belongs to this machine and that you may bind the port",
    cause: error,
  });
}
