import type { Clock } from "../../base/index.ts";
import { labelsObject } from "../../promql/index.ts";
import type { Scraper, ScrapeTarget, TargetHealth, TargetLoop } from "../scrape/index.ts";
import type { SampleStore } from "../store/index.ts";
import { failure, failureOf, success, type ApiAnswer, type ApiRequest } from "./api-request.ts";
import { instantQuery, listLabels, listLabelValues, listSeries, rangeQuery, type QueryContext } from "./query-api.ts";
import { QueriesInProgress } from "./queries-in-progress.ts";

export interface PrometheusApiOptions {
  readonly store: SampleStore;
  readonly scraper: Scraper;
  readonly clock: Clock;
  /** For `status/buildinfo`: the version of Prometheus' API, and the revision of this program. */
  readonly build: { readonly version: string; readonly revision: string };
  readonly flags: Readonly<Record<string, string>>;
  /** For `status/config`: the configuration without secrets. */
  readonly configText: () => string;
  /**
   * Reads the configuration again. If it is invalid, throws an error and keeps the old one. Undefined if the API may
   * not reload.
   */
  readonly reload: (() => Promise<void>) | undefined;
}

type Endpoint = (params: URLSearchParams, request: ApiRequest) => ApiAnswer | Promise<ApiAnswer>;

const labelValuesPath = /^\/api\/v1\/label\/([^/]+)\/values$/;

/** Prometheus' HTTP API, as far as a store in memory can implement it. Unknown endpoints return 404. */
export class PrometheusApi {
  readonly #options: PrometheusApiOptions;
  readonly #startedMs: number;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;
  readonly #rangeQueries = new QueriesInProgress();
  #configMs: number;
  #isReloadGood = true;

  constructor(options: PrometheusApiOptions) {
    this.#options = options;
    this.#startedMs = options.clock.nowMs();
    this.#configMs = this.#startedMs;
    const empty =
      (data: unknown): Endpoint =>
      () =>
        success(data);
    this.#endpoints = new Map<string, Endpoint>([
      ["query", (params) => instantQuery(params, this.#context())],
      ["query_range", (_, request) => this.#rangeQuery(request)],
      ["series", (params) => listSeries(params, this.#context())],
      ["labels", (params) => listLabels(params, this.#context())],
      ["targets", (params) => this.#targets(params)],
      ["targets/metadata", (params) => this.#targetMetadata(params)],
      ["scrape_pools", () => success({ scrapePools: options.scraper.config.jobs.map(({ name }) => name).sort() })],
      ["metadata", (params) => this.#metadata(params)],
      ["status/config", () => success({ yaml: options.configText() })],
      ["status/flags", () => success(options.flags)],
      ["status/buildinfo", () => this.#buildInfo()],
      ["status/runtimeinfo", () => this.#runtimeInfo()],
      ["status/tsdb", () => this.#storeStatus()],
      // Rules and exemplars are not supported, so these lists are empty.
      ["rules", empty({ groups: [] })],
      ["alerts", empty({ alerts: [] })],
      ["alertmanagers", empty({ activeAlertmanagers: [], droppedAlertmanagers: [] })],
      ["query_exemplars", empty([])],
    ]);
  }

  #context(): QueryContext {
    const { store, scraper, clock } = this.#options;
    return { store, clock, evaluationIntervalMs: scraper.config.evaluationIntervalMs };
  }

  async #rangeQuery({ params, clientAddress, nextTurn }: ApiRequest): Promise<ApiAnswer> {
    return await this.#rangeQueries.run(
      clientAddress,
      nextTurn,
      async () => await rangeQuery(params, this.#context(), nextTurn),
    );
  }

  /** Answers a request. Returns undefined if its path is not in the API. */
  async handle(request: ApiRequest): Promise<ApiAnswer | undefined> {
    const { method, path, params } = request;
    if (path === "/-/ready") return text(200, "Prometheus Server is Ready.\n");
    if (path === "/-/healthy") return text(200, "Prometheus Server is Healthy.\n");
    if (path === "/-/reload")
      return method === "POST" || method === "PUT"
        ? await this.#reload()
        : text(405, "Only POST or PUT requests allowed\n");
    if (!path.startsWith("/api/v1/")) return undefined;
    try {
      const named = labelValuesPath.exec(path)?.[1];
      if (named !== undefined) return listLabelValues(decodeURIComponent(named), params, this.#context());
      const endpoint = this.#endpoints.get(path.slice("/api/v1/".length));
      return endpoint === undefined
        ? failure(404, "not_found", `${path} is not known here`)
        : await endpoint(params, request);
    } catch (error) {
      return failureOf(error);
    }
  }

  async #reload(): Promise<ApiAnswer> {
    const { reload } = this.#options;
    if (reload === undefined) return text(403, "Lifecycle API is not enabled.\n");
    try {
      await reload();
      this.#isReloadGood = true;
      this.#configMs = this.#options.clock.nowMs();
      return text(200, "");
    } catch (error) {
      this.#isReloadGood = false;
      return text(500, `failed to reload config: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }

  #targets(params: URLSearchParams): ApiAnswer {
    const { scraper } = this.#options;
    const state = params.get("state") ?? "any";
    const pool = params.get("scrapePool");
    const isWanted = (job: { readonly name: string }): boolean => pool === null || pool === job.name;
    const active =
      state === "dropped"
        ? []
        : scraper
            .loops()
            .filter(({ target }) => isWanted(target.job))
            .map(activeTarget);
    const dropped =
      state === "active"
        ? []
        : scraper.targets.dropped
            .filter(({ job }) => isWanted(job))
            .map(({ discovered }) => ({ discoveredLabels: Object.fromEntries(discovered) }));
    return success({ activeTargets: active, droppedTargets: dropped, droppedTargetCounts: this.#droppedCounts() });
  }

  #droppedCounts(): Record<string, number> {
    const counts = new Map<string, number>();
    for (const { job } of this.#options.scraper.targets.dropped) counts.set(job.name, (counts.get(job.name) ?? 0) + 1);
    return Object.fromEntries(counts);
  }

  #metadata(params: URLSearchParams): ApiAnswer {
    const metric = params.get("metric");
    const limit = Number(params.get("limit") ?? Infinity);
    const known = [...this.#options.scraper.types]
      .filter(([name]) => metric === null || name === metric)
      .slice(0, limit);
    return success(Object.fromEntries(known.map(([name, type]) => [name, [{ type, help: "", unit: "" }]])));
  }

  #targetMetadata(params: URLSearchParams): ApiAnswer {
    const metric = params.get("metric") ?? "";
    const type = this.#options.scraper.types.get(metric);
    return success(
      type === undefined
        ? []
        : this.#options.scraper
            .loops()
            .map(({ target }) => ({ target: labelsObject(target.labels), metric, type, help: "", unit: "" })),
    );
  }

  #buildInfo(): ApiAnswer {
    const { version, revision } = this.#options.build;
    return success({ version, revision, branch: "serin", buildUser: "", buildDate: "", goVersion: "" });
  }

  #runtimeInfo(): ApiAnswer {
    const { clock, store } = this.#options;
    return success({
      startTime: new Date(this.#startedMs).toISOString(),
      CWD: "/",
      serverTime: new Date(clock.nowMs()).toISOString(),
      reloadConfigSuccess: this.#isReloadGood,
      lastConfigTime: new Date(this.#configMs).toISOString(),
      corruptionCount: 0,
      storageRetention: `${Math.round(store.retentionMs / 3_600_000)}h`,
    });
  }

  #storeStatus(): ApiAnswer {
    const { store, clock } = this.#options;
    const { series, sampleBytes, appended, refused, oldestMs } = store.stats;
    const largest = 10;
    return success({
      headStats: {
        numSeries: series,
        numLabelPairs: 0,
        chunkCount: 0,
        minTime: oldestMs ?? clock.nowMs(),
        maxTime: clock.nowMs(),
      },
      seriesCountByMetricName: store.largestMetrics(largest),
      labelValueCountByLabelName: store
        .labelNames()
        .map((name) => ({ name, value: store.labelValues(name).length }))
        .toSorted((a, b) => b.value - a.value)
        .slice(0, largest),
      memoryInBytesByLabelName: [],
      seriesCountByLabelValuePair: [],
      // This field and the next ones do not exist in Prometheus' API.
      sampleBytes,
      samplesAppended: appended,
      samplesRefused: refused,
    });
  }
}

function text(status: number, body: string): ApiAnswer {
  return { status, contentType: "text/plain; charset=utf-8", body };
}

function activeTarget({ target, health }: TargetLoop): Record<string, unknown> {
  return {
    discoveredLabels: Object.fromEntries(target.discovered),
    labels: labelsObject(target.labels),
    scrapePool: target.job.name,
    scrapeUrl: target.url,
    globalUrl: target.url,
    lastError: health.lastError,
    lastScrape: lastScrape(health),
    lastScrapeDuration: health.durationMs / 1000,
    health: health.health,
    ...intervals(target),
  };
}

function lastScrape({ lastScrapeMs }: TargetHealth): string {
  return lastScrapeMs === undefined ? "0001-01-01T00:00:00Z" : new Date(lastScrapeMs).toISOString();
}

function intervals({ intervalMs, timeoutMs }: ScrapeTarget): {
  readonly scrapeInterval: string;
  readonly scrapeTimeout: string;
} {
  const text = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000}m` : `${ms / 1000}s`);
  return { scrapeInterval: text(intervalMs), scrapeTimeout: text(timeoutMs) };
}
