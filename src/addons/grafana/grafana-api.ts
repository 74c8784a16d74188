import { messageOf, transientError, type Logger, withoutEnd } from "../../base/index.ts";
import {
  createQueryPrometheus,
  htmlAnswer,
  jsonAnswer,
  textAnswer,
  type QueryPrometheus,
  type WebAnswer,
  type WebRequest,
} from "../web/index.ts";
import { dashboardPage, listPage } from "./grafana-pages.ts";
import { readDashboards, readDataSources, type DataSource } from "./provisioning.ts";

export interface GrafanaApiOptions {
  readonly provisioning: string;
  readonly version: string;
  readonly log: Logger;
}

const proxyPath = /^\/api\/datasources\/proxy\/(?:uid\/)?([^/]+)(\/.*)$/;
const dashboardPath = /^\/d\/([^/]+)/;
const dashboardApiPath = /^\/api\/dashboards\/uid\/([^/]+)$/;
const proxyTimeoutMs = 30_000;

/** Answers requests for Grafana's pages, and the few calls of its API that these and administrators need. */
export class GrafanaApi {
  readonly #options: GrafanaApiOptions;

  constructor(options: GrafanaApiOptions) {
    this.#options = options;
  }

  async handle(request: WebRequest): Promise<WebAnswer> {
    const { path } = request;
    const { provisioning, log, version } = this.#options;
    if (path === "/api/health") return jsonAnswer({ database: "ok", version, commit: "serin" });
    const proxied = proxyPath.exec(path);
    if (proxied !== null) return await this.#proxy(decodeURIComponent(proxied[1] ?? ""), proxied[2] ?? "/", request);
    if (path === "/api/datasources")
      return jsonAnswer(
        (await readDataSources(provisioning, log)).map((source) => ({ ...source, access: "proxy", readOnly: true })),
      );
    const dashboards = await readDashboards(provisioning, log);
    if (path === "/" || path === "/dashboards") return htmlAnswer(listPage(dashboards));
    if (path === "/api/search") {
      const query = (request.params.get("query") ?? "").toLowerCase();
      const found = dashboards.filter(({ title }) => title.toLowerCase().includes(query));
      return jsonAnswer(
        found.map(({ uid, title, folder, tags }, index) => ({
          id: index + 1,
          uid,
          title,
          url: `/d/${uid}`,
          type: "dash-db",
          tags,
          folderTitle: folder,
        })),
      );
    }
    const uid = decodeURIComponent((dashboardApiPath.exec(path) ?? dashboardPath.exec(path))?.[1] ?? "");
    const dashboard = dashboards.find((candidate) => candidate.uid === uid);
    if (dashboard === undefined)
      return path.startsWith("/api/") ? jsonAnswer({ message: "Not found" }, 404) : textAnswer("not found\n", 404);
    if (path.startsWith("/api/"))
      return jsonAnswer({
        dashboard: dashboard.json,
        meta: { folderTitle: dashboard.folder, provisioned: true, canSave: false },
      });
    const chosen = new Map(
      [...request.params].flatMap(([name, value]) =>
        name.startsWith("var-") ? [[name.slice("var-".length), value] as const] : [],
      ),
    );
    return htmlAnswer(await dashboardPage(dashboard, chosen, await this.#query()));
  }

  async #query(): Promise<QueryPrometheus> {
    const sources = (await readDataSources(this.#options.provisioning, this.#options.log)).filter(
      ({ type }) => type === "prometheus",
    );
    const source = sources.find(({ isDefault }) => isDefault) ?? sources[0];
    if (source !== undefined) return createQueryPrometheus(source.url);
    return async () => {
      throw transientError("not-installed", "no data source of type prometheus is provisioned");
    };
  }

  async #proxy(name: string, path: string, { method, params }: WebRequest): Promise<WebAnswer> {
    const sources = await readDataSources(this.#options.provisioning, this.#options.log);
    const source = sources.find(
      (candidate: DataSource) => candidate.uid === name || String(candidate.id) === name || candidate.name === name,
    );
    if (source === undefined) return jsonAnswer({ message: "Data source not found" }, 404);
    if (method !== "GET" && method !== "POST") return jsonAnswer({ message: "Only GET and POST are forwarded" }, 405);
    const url = `${withoutEnd(source.url, "/")}${path}`;
    try {
      const signal = AbortSignal.timeout(proxyTimeoutMs);
      const answer =
        method === "POST"
          ? await fetch(url, { method, body: params, signal })
          : await fetch(params.size === 0 ? url : `${url}?${params.toString()}`, { signal });
      return {
        status: answer.status,
        contentType: answer.headers.get("content-type") ?? "application/json",
        body: await answer.text(),
      };
    } catch (error) {
      return jsonAnswer({ message: `${source.name} at ${source.url} does not answer: ${messageOf(error)}` }, 502);
    }
  }
}
