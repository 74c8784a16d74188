import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { text } from "node:stream/consumers";
import type { LiveMessage, Session, View } from "../../../api/dashboard/index.ts";
import { silentLogger, systemClock } from "../../../base/index.ts";
import { AuditLog } from "../audit-log.ts";
import { DashboardServer, type DashboardServerOptions } from "../dashboard-server.ts";
import { PageAssets } from "../page-assets.ts";
import { syntheticAccess } from "./synthetic-access.ts";
import { syntheticHandlers } from "./synthetic-handlers.ts";
import { SyntheticSource } from "./synthetic-source.ts";

export interface RigAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  readonly text: string;
}

export interface RigRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** A dashboard on a loopback port, with the cookie and the CSRF token of a browser. */
export class DashboardRig implements AsyncDisposable {
  readonly server: DashboardServer;
  readonly audit: AuditLog;
  readonly #ended = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #port = 0;
  cookie = "";
  csrfToken = "";

  constructor(given: Partial<DashboardServerOptions> = {}) {
    const clock = given.clock ?? systemClock;
    this.audit = given.audit ?? new AuditLog({ clock, log: silentLogger });
    const page = PageAssets.from(
      new Map([
        ["index.html", Buffer.from("<!doctype html><title>page</title>")],
        ["page.js", Buffer.from("console.log(1);".repeat(500))],
        ["chunk-ABCDEF12.js", Buffer.from("export {};")],
      ]),
    );
    this.server = new DashboardServer({
      page: async () => await Promise.resolve(page),
      root: "",
      access: syntheticAccess({}),
      sessionIdleMs: 60_000,
      sessionMs: 600_000,
      source: new SyntheticSource({ clock, workloads: 20 }),
      handlers: syntheticHandlers({ clock, audit: this.audit }),
      checkTopic: async () => await Promise.resolve(),
      audit: this.audit,
      clock,
      log: silentLogger,
      version: "1.2.3",
      ...given,
    });
  }

  static async start(given: Partial<DashboardServerOptions> = {}): Promise<DashboardRig> {
    const rig = new DashboardRig(given);
    await new Promise<void>((resolve) => {
      rig.#running = rig.server.run({ host: "127.0.0.1", ports: [0] }, rig.#ended.signal, (port) => {
        rig.#port = port;
        resolve();
      });
    });
    return rig;
  }

  get port(): number {
    return this.#port;
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async ask(method: string, path: string, { headers = {}, body }: RigRequest = {}): Promise<RigAnswer> {
    const response = await this.open(method, path, { headers, body });
    return { status: response.statusCode ?? 0, headers: response.headers, text: await text(response) };
  }

  async open(method: string, path: string, { headers = {}, body }: RigRequest = {}): Promise<IncomingMessage> {
    const own = {
      ...(this.cookie === "" ? {} : { cookie: this.cookie }),
      ...(this.csrfToken === "" ? {} : { "x-serin-csrf": this.csrfToken }),
    };
    const outgoing = httpRequest({
      host: "127.0.0.1",
      port: this.#port,
      method,
      path,
      agent: false,
      headers: { ...own, ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    });
    const answered = once(outgoing, "response") as Promise<[IncomingMessage]>;
    outgoing.end(body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body));
    const [response] = await answered;
    const [cookie] = response.headers["set-cookie"] ?? [];
    if (cookie !== undefined) this.cookie = cookie.split(";")[0] ?? "";
    return response;
  }

  async session(): Promise<Session> {
    const { text: answer } = await this.ask("GET", "/api/session");
    const session = JSON.parse(answer) as Session;
    this.csrfToken = session.csrfToken;
    return session;
  }

  async logIn(token: string): Promise<RigAnswer> {
    await this.session();
    const answer = await this.ask("POST", "/api/login", { body: { token } });
    if (answer.status === 200) this.csrfToken = (JSON.parse(answer.text) as Session).csrfToken;
    return answer;
  }

  /** Yields the messages of the stream. To end the iteration closes the stream. */
  async *live(...topics: readonly string[]): AsyncGenerator<LiveMessage & { readonly view?: View }> {
    const response = await this.open(
      "GET",
      `/api/live?${topics.map((topic) => `topic=${encodeURIComponent(topic)}`).join("&")}`,
    );
    let rest = "";
    try {
      for await (const chunk of response.setEncoding("utf8") as AsyncIterable<string>) {
        rest += chunk;
        for (let at = rest.indexOf("\n\n"); at !== -1; at = rest.indexOf("\n\n")) {
          const event = rest.slice(0, at);
          rest = rest.slice(at + 2);
          if (event.startsWith("data: ")) yield JSON.parse(event.slice("data: ".length)) as LiveMessage;
        }
      }
    } finally {
      response.destroy();
    }
  }
}
