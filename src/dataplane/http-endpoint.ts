import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import {
  ConnectionLimit,
  isLoopbackAddress,
  limitConnections,
  logLevels,
  messageOf,
  systemClock,
  userError,
  type Clock,
  type LogThreshold,
  type Readiness,
} from "../base/index.ts";
import { foreignPage } from "../base/foreign-page/index.ts";
import { inTurns } from "../base/request-turns/index.ts";
import { listenTcp, secureServer, streamDuplex, type ByteStream, type TlsContextSource } from "../net/index.ts";
import { prometheusContentType, type FamilyNames } from "../telemetry/index.ts";

// An import would load every export of node:http, whose WebSocket loads all of undici (20 ms and megabytes).
const { createServer } = process.getBuiltinModule("node:http");

export interface EndpointAnswer {
  readonly status: number;
  readonly contentType?: string;
  readonly body: string | Uint8Array;
}

/** Answers the requests for a path. If it throws, the answer has status 500 and the error's message. */
export type EndpointRoute = (request: IncomingMessage, url: URL) => EndpointAnswer | Promise<EndpointAnswer>;

export interface HttpEndpointOptions {
  /** `0.0.0.0`, `::` or a loopback address. */
  readonly address: string;
  readonly port: number;
  /** Routes by exact path. */
  readonly routes: Readonly<Record<string, EndpointRoute>>;
}

export interface HttpEndpoint {
  readonly port: number;
  close(): Promise<void>;
}

/** A small HTTP server for readiness, metrics and administration. Rejects if the address is in use. */
export function listenHttp(options: HttpEndpointOptions): Promise<HttpEndpoint> {
  const { address, port, routes } = options;
  const server = httpServer(routes);
  limitConnections(server);
  return new Promise((resolve, reject) => {
    server.once("error", (error) => {
      reject(userError("address-in-use", `cannot listen on ${address}:${port}: ${messageOf(error)}`, { cause: error }));
    });
    server.listen({ host: address, port }, () => {
      const bound = server.address();
      resolve({
        port: typeof bound === "object" && bound !== null ? bound.port : port,
        close: () => closeServer(server),
      });
    });
  });
}

function httpServer(routes: HttpEndpointOptions["routes"], clock: Clock = systemClock): Server {
  return createServer(
    inTurns(
      (request, response) => {
        void answer(routes, request).then(({ status, contentType = "text/plain; charset=utf-8", body }) => {
          response.writeHead(status, { "content-type": contentType });
          response.end(body);
        });
      },
      { clock },
    ),
  );
}

async function answer(
  routes: Readonly<Record<string, EndpointRoute>>,
  request: IncomingMessage,
): Promise<EndpointAnswer> {
  try {
    const foreign = foreignPage(request);
    if (foreign !== undefined) return { status: 403, body: `${foreign}\n` };
    const url = new URL(request.url ?? "/", "http://localhost");
    const route = routes[url.pathname];
    if (route !== undefined) return await route(request, url);
    const paths = Object.keys(routes).filter((path) => path !== "/");
    return { status: 404, body: `not found; available paths: ${paths.join(" ")}\n` };
  } catch (error) {
    return { status: 500, body: `${messageOf(error)}\n` };
  }
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/** A route such as `/healthz/ready`. It answers 200 if no task is pending, otherwise 503 with the pending tasks. */
export function readinessRoute(readiness: Readiness): EndpointRoute {
  return () =>
    readiness.ready
      ? { status: 200, body: "ready\n" }
      : { status: 503, body: `not ready, pending: ${readiness.pending().join(", ")}\n` };
}

/** A route with metrics in Prometheus' text format: all families, or only those that the scraper names. */
export function metricsRoute(text: (names: FamilyNames) => string | Promise<string>): EndpointRoute {
  return async (_request, url) => ({
    status: 200,
    contentType: prometheusContentType,
    body: await text(namesAsked(url)),
  });
}

/**
 * Returns the families that a scraper names by `name[]=…`, as in Prometheus' own HTTP handler (client_golang,
 * promhttp).
 */
export function namesAsked({ searchParams }: URL): FamilyNames {
  const names = searchParams.getAll("name[]");
  return names.length === 0 ? undefined : new Set(names);
}

/** A route that answers every request with the current value as indented JSON. It writes a bigint as a string. */
export function jsonRoute(value: () => unknown): EndpointRoute {
  return async () => ({
    status: 200,
    contentType: "application/json",
    body: `${JSON.stringify(await value(), jsonValue, 2)}\n`,
  });
}

/**
 * A route for `POST /logging?level=debug`, which sets the level. Without `level`, it returns the present level. The
 * path and the text are the same as in upstream ztunnel.
 */
export function loggingRoute(threshold: LogThreshold): EndpointRoute {
  return ({ method }, url) => {
    if (method !== "POST")
      return { status: 405, body: `POST to read the level, POST with ?level= to set it: ${logLevels.join(", ")}\n` };
    const wanted = url.searchParams.get("level");
    const level = logLevels.find((known) => known === wanted);
    if (wanted !== null && level === undefined)
      return { status: 400, body: `level ${wanted} is unknown: expected one of ${logLevels.join(", ")}\n` };
    if (level !== undefined) threshold.level = level;
    return { status: 200, body: `current log level is ${threshold.level}\n` };
  };
}

/**
 * Limits a route to callers in the same pod. It serves connections over loopback, except those that this process has
 * opened for others (`isOwn`). Headers have no influence. The status and text of a refusal are those of upstream Istio.
 */
export function forOwnPod(route: EndpointRoute, isOwn: (socket: Socket) => boolean | Promise<boolean>): EndpointRoute {
  return async (request, url) =>
    isLoopbackAddress(request.socket.remoteAddress ?? "") && !(await isOwn(request.socket))
      ? await route(request, url)
      : { status: 403, body: "Only requests from localhost are allowed\n" };
}

function jsonValue(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? value.toString() : value;
}

export interface SecureEndpointOptions {
  /** `0.0.0.0`, `::` or a loopback address. */
  readonly address: string;
  readonly port: number;
  /** Routes by exact path. */
  readonly routes: Readonly<Record<string, EndpointRoute>>;
  /** The certificate, and the roots that clients' certificates must come from. Called for each connection. */
  readonly context: TlsContextSource;
  readonly clock?: Clock;
}

const handshakeTimeoutMs = 5000;
/** The maximum number of connections. Scrapers are few, and the limit keeps other clients from using up descriptors. */
const maxConnections = 100;

/** An HTTP server for clients with a certificate of the mesh. Rejects if the address is in use. */
export async function listenSecureHttp(options: SecureEndpointOptions): Promise<HttpEndpoint> {
  const { address, port, routes, context, clock } = options;
  const server = httpServer(routes, clock);
  const open = new Set<ByteStream>();
  const limit = new ConnectionLimit(maxConnections);
  const accept = async (stream: ByteStream): Promise<void> => {
    const place = limit.admit(stream, stream.remote.address);
    if (place === undefined) return;
    open.add(stream);
    const ended = (): void => {
      open.delete(stream);
      place[Symbol.dispose]();
    };
    try {
      const secured = await secureServer(stream, context, {
        alpn: ["http/1.1"],
        timeoutMs: handshakeTimeoutMs,
        clientCertificate: "require",
      });
      const duplex = streamDuplex(secured);
      duplex.once("close", ended);
      server.emit("connection", duplex);
    } catch {
      // The client has no certificate of the mesh. The handshake has closed the connection.
      ended();
    }
  };
  const listener = await listenTcp({ address, port }, (stream) => void accept(stream)).catch((error: unknown) => {
    throw userError("address-in-use", `cannot listen on ${address}:${port}: ${messageOf(error)}`, { cause: error });
  });
  return {
    port: listener.address.port,
    close: async () => {
      listener.close();
      for (const stream of open) stream.destroy();
      server.closeAllConnections();
    },
  };
}
