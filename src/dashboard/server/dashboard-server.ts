import type { IncomingMessage, Server, ServerResponse } from "node:http";
import {
  aborted,
  clientNetwork,
  describeError,
  limitConnections,
  messageOf,
  nodeHttp,
  userError,
  type Clock,
  type Logger,
} from "../../base/index.ts";
import type { Access } from "./access/access.ts";
import type { Identity } from "./access/identity.ts";
import { Sessions } from "./access/sessions.ts";
import type { AuditLog } from "./audit-log.ts";
import { isOpenedByPerson, readJsonBody, sendJson, sendText } from "./http-body.ts";
import { limits } from "./limits.ts";
import { LiveHub } from "./live/live-hub.ts";
import { LivePages } from "./live/live-pages.ts";
import type { ParsedTopic } from "./live/parse-topic.ts";
import type { PageAssets } from "./page-assets.ts";
import { problemOf, refusal, statusOf } from "../problem.ts";
import { RequestFields } from "./requests/request-fields.ts";
import { RequestsInFlight } from "./requests-in-flight.ts";
import type { RequestHandler, RequestHandlers } from "./requests/request-handlers.ts";
import { checkHost, checkSameSite, setSecurityHeaders } from "./security.ts";
import type { ViewSource } from "./view-source.ts";
import { Visits, type Visit } from "./visits.ts";

export interface DashboardServerOptions {
  /** Loads the page's files. Called when one of them is requested. */
  readonly page: (file: string) => Promise<PageAssets>;
  /** The prefix of all paths, for example `/kiali`. Empty for the root. */
  readonly root: string;
  readonly access: Access;
  /** A session ends after `sessionIdleMs` without use, and in any case after `sessionMs`. Infinity means no limit. */
  readonly sessionIdleMs: number;
  readonly sessionMs: number;
  readonly source: ViewSource;
  readonly handlers: RequestHandlers;
  /** Throws `forbidden` if the identity must not follow the topic. */
  readonly checkTopic: (topic: ParsedTopic, identity: Identity) => Promise<void>;
  /** Answers another API below the same root. Undefined for a path that it does not know. */
  readonly otherApi?: (path: string, query: URLSearchParams, identity: Identity) => Promise<OtherAnswer | undefined>;
  readonly audit: AuditLog;
  readonly clock: Clock;
  readonly log: Logger;
  readonly version: string;
}

export interface OtherAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface ListenAddress {
  /**
   * An IP address, `localhost` for the loopback addresses that the machine has, or empty for all addresses of the
   * machine.
   */
  readonly host: string;
  /** The ports to try, in this order. 0 is any free port. */
  readonly ports: readonly number[];
}

interface ApiRequest {
  /** For example `GET /api/session`. */
  readonly name: string;
  /** Relative to the server's root. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly visit: Visit;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
}

const minuteMs = 60_000;

/**
 * Serves the page's files, its requests and its live stream over plain HTTP. The mesh or a port-forward encrypts the
 * traffic.
 */
export class DashboardServer {
  readonly #options: DashboardServerOptions;
  readonly #hub: LiveHub;
  readonly #pages: LivePages;
  readonly #sessions: Sessions;
  readonly #visits: Visits;
  readonly #inFlight: RequestsInFlight;

  constructor(options: DashboardServerOptions) {
    const { source, clock, checkTopic, access, audit, version, root } = options;
    const log = options.log.scoped("dashboard");
    this.#options = { ...options, log };
    this.#hub = new LiveHub({ source, clock, log });
    this.#pages = new LivePages({ hub: this.#hub, clock, log, checkTopic });
    this.#sessions = new Sessions({ clock, idleMs: options.sessionIdleMs, absoluteMs: options.sessionMs });
    this.#inFlight = new RequestsInFlight(clock);
    this.#visits = new Visits({ access, sessions: this.#sessions, audit, clock, version, root });
  }

  get counts(): { readonly pages: number; readonly topics: number; readonly sessions: number } {
    return { pages: this.#pages.size, topics: this.#hub.size, sessions: this.#sessions.size };
  }

  /** Serves until the signal is aborted. Calls `listening` with the port. Throws a user error if it cannot listen. */
  async run(
    { host, ports }: ListenAddress,
    signal: AbortSignal,
    listening: (port: number) => void = () => undefined,
  ): Promise<void> {
    const servers: Server[] = [];
    const listenOn = async (address: string, port: number): Promise<number> => {
      const server = this.#createServer();
      const taken = await listen(server, address, port);
      servers.push(server);
      return taken;
    };
    try {
      const port = await firstOf(
        ports,
        async (candidate) => await listenOn(host === "localhost" ? "127.0.0.1" : host, candidate),
      );
      // Machines without IPv6 lack ::1.
      if (host === "localhost") await listenOn("::1", port).catch(() => undefined);
      this.#options.log.info("listening", { host, port });
      listening(port);
      await Promise.all([this.#pages.run(signal), this.#sweep(signal), aborted(signal)]);
    } finally {
      this.#hub.close();
      for (const server of servers) {
        server.close();
        server.closeAllConnections();
      }
    }
  }

  #createServer(): Server {
    const { headersTimeoutMs, requestTimeoutMs, keepAliveTimeoutMs, connections } = limits;
    const server = nodeHttp().createServer(
      { headersTimeout: headersTimeoutMs, requestTimeout: requestTimeoutMs, keepAliveTimeout: keepAliveTimeoutMs },
      (request, response) => {
        void this.#answer(request, response);
      },
    );
    limitConnections(server, connections);
    // Without a handler, a later error of the listening socket would end the process.
    server.on("error", (error) => this.#options.log.warn("the listener failed", { error: describeError(error) }));
    server.on("clientError", (_error, socket) => {
      // Close the connection now. A client may never close its end, and the connection counts until then.
      if (socket.writable)
        socket.end("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", () =>
          socket.destroy(),
        );
      else socket.destroy();
    });
    return server;
  }

  async #sweep(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(minuteMs, signal).catch(() => undefined);
      this.#sessions.sweep();
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => undefined);
    setSecurityHeaders(response);
    try {
      checkHost(request);
      await this.#route(request, response);
    } catch (error) {
      const problem = problemOf(error);
      const status = statusOf(problem);
      const fields = { method: request.method, path: pathOf(request), status, error: describeError(error) };
      if (problem.code === "internal") this.#options.log.warn("a request failed", fields);
      else this.#options.log.debug("a request was refused", fields);
      if (response.headersSent) {
        response.destroy();
        return;
      }
      // Do not read the rest of the body: close the connection instead.
      if (!request.complete) response.setHeader("connection", "close");
      const { message, hint } = problem;
      if (isOpenedByPerson(request))
        sendText(request, response, status, hint === undefined ? [message] : [message, hint]);
      else await sendJson(request, response, status, { problem });
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { root } = this.#options;
    const url = URL.parse(request.url ?? "/", "http://localhost");
    if (url === null) throw refusal("invalid", "the request's path is not valid");
    const { pathname } = url;
    if (pathname === root || (pathname === "/" && root !== "")) {
      response.writeHead(302, { location: `${root}/` }).end();
      return;
    }
    const own = pathname.startsWith(`${root}/`) ? pathname.slice(root.length + 1) : undefined;
    if (own === undefined) throw refusal("not-found", `${pathname} does not exist here`, `the page is at ${root}/`);
    if (own === "healthz") response.writeHead(200, { "content-type": "text/plain" }).end("ok\n");
    else if (own === "enter") await this.#enter(url, request, response);
    else if (own === "api" || own.startsWith("api/")) await this.#api(own, url, request, response);
    else if (request.method !== "GET" && request.method !== "HEAD")
      throw refusal("invalid", `${request.method ?? ""} is not supported here`);
    else if (own === "console" || own.startsWith("console/"))
      response.writeHead(302, { location: `${root}/${url.search}` }).end();
    else await this.#file(own === "" ? "index.html" : own, request, response);
  }

  async #file(name: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const page = await this.#options.page(name);
    if (!page.has(name))
      throw refusal("not-found", `${name} is not known here`, `the page is at ${this.#options.root}/`);
    page.send(name, request, response);
  }

  async #enter(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { root, access } = this.#options;
    await access.checkBrowser?.(request.socket);
    // A browser that has a session because it used this address may open the address again.
    if (!this.#visits.enter(url.searchParams.get("secret") ?? "", response) && !(await this.#visits.isNamed(request)))
      throw refusal("forbidden", "this address was already used, or does not belong to this server", access.loginHint);
    response.setHeader("cache-control", "no-store");
    response.writeHead(303, { location: `${root}/` }).end();
  }

  async #api(own: string, url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    checkSameSite(request);
    const visit = await this.#visits.of(request);
    if (visit.isNew) this.#visits.setCookie(response, visit.id);
    const method = request.method ?? "GET";
    if (method !== "GET" && method !== "HEAD") this.#visits.checkCsrf(request, visit);
    const name = `${method === "HEAD" ? "GET" : method} /${own}`;
    if (name === "GET /api/live") {
      // A HEAD would get the stream's headers, and then wait for ever.
      if (method === "HEAD") throw refusal("invalid", "the stream supports only GET");
      this.#live(url, request, response, visit);
      return;
    }
    const { identity } = visit;
    const isLoggedIn = identity !== undefined && identity !== this.#options.access.anonymous;
    const sender = isLoggedIn
      ? `user ${identity.user}`
      : `address ${clientNetwork(request.socket.remoteAddress ?? "")}`;
    this.#inFlight.enter({ name: sender, isLoggedIn }, response);
    const left = new AbortController();
    response.on("close", () => left.abort());
    try {
      const { status, body } = await this.#apiAnswer({
        name,
        path: `/${own}`,
        query: url.searchParams,
        request,
        response,
        visit,
        signal: left.signal,
      });
      await sendJson(request, response, status, body);
    } finally {
      this.#inFlight.answered(response);
    }
  }

  async #apiAnswer({ name, path, query, request, response, visit, signal }: ApiRequest): Promise<OtherAnswer> {
    const fields =
      request.method === "POST" ? RequestFields.ofJson(await readJsonBody(request)) : RequestFields.ofQuery(query);
    if (name === "GET /api/session") return { status: 200, body: await this.#visits.session(visit) };
    if (name === "POST /api/login")
      return {
        status: 200,
        body: await this.#visits.session(
          await this.#visits.logIn(
            fields.text("token", limits.tokenLength),
            request.socket.remoteAddress ?? "",
            visit,
            response,
          ),
        ),
      };
    if (name === "POST /api/logout") {
      const next = this.#visits.logOut(visit, response);
      void this.#pages.attendAll(visit.id);
      return { status: 200, body: await this.#visits.session(next) };
    }
    const { identity } = visit;
    const { access, handlers, otherApi } = this.#options;
    if (identity === undefined) throw refusal("logged-out", "nobody is logged in", access.loginHint);
    if (Object.hasOwn(handlers, name)) {
      const handler = handlers[name as keyof RequestHandlers] as RequestHandler<keyof RequestHandlers>;
      return { status: 200, body: await handler(fields, identity, signal) };
    }
    const other = name.startsWith("GET ") ? await otherApi?.(path, query, identity) : undefined;
    if (other === undefined) throw refusal("not-found", `${name} is not known here`);
    return other;
  }

  #live(url: URL, request: IncomingMessage, response: ServerResponse, { id, identity }: Visit): void {
    const { access } = this.#options;
    if (identity === undefined) throw refusal("logged-out", "nobody is logged in", access.loginHint);
    const topics = url.searchParams.getAll("topic");
    if (identity === access.anonymous)
      this.#pages.open(request, response, topics, {
        id,
        user: id,
        place: clientNetwork(request.socket.remoteAddress ?? ""),
        viewer: identity.user,
        identity: async () => await Promise.resolve(identity),
      });
    else
      this.#pages.open(request, response, topics, {
        id,
        user: identity.user,
        viewer: identity.user,
        identity: async () => await this.#visits.identityOf(id),
      });
  }
}

async function firstOf(ports: readonly number[], listenOn: (port: number) => Promise<number>): Promise<number> {
  let problem: unknown;
  for (const port of ports) {
    try {
      return await listenOn(port);
    } catch (error) {
      problem = error;
    }
  }
  throw problem;
}

async function listen(server: Server, host: string, port: number): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    const failed = (cause: Error): void =>
      reject(
        userError("cannot-listen", `cannot listen on ${host === "" ? "*" : host}:${port}: ${messageOf(cause)}`, {
          cause,
          hint: "name another port",
        }),
      );
    server.once("error", failed);
    server.listen({ port, ...(host === "" ? {} : { host }) }, () => {
      server.removeListener("error", failed);
      resolve();
    });
  });
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

/** The path of a request without the query, which may contain a secret. */
function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?")[0]?.slice(0, 200) ?? "";
}
