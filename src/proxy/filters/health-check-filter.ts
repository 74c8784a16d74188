import type { RequestMatcher } from "../routing/matchers.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { FilterServices } from "./filter-services.ts";
import {
  passed,
  type FilterRequest,
  type FilterResponse,
  type HttpFilter,
  type LocalReply,
  type StreamFilter,
} from "./http-filter.ts";

export interface HealthCheckSettings {
  readonly isCheck: RequestMatcher;
  readonly passes: boolean;
  /** How long the upstream's answer is reused for further checks. 0 means never. */
  readonly cacheMs: number;
  /**
   * For each cluster, the minimum percentage of usable endpoints. As in Envoy, it does not apply to checks that the
   * upstream answers.
   */
  readonly leastHealthy: ReadonlyMap<string, number>;
}

interface CachedAnswer {
  readonly status: number;
  readonly degraded: boolean;
  /** The number of the cache interval in which the upstream answered. */
  readonly interval: number;
}

/** Who or what answered a check. The response code details end with this word. */
type Answerer =
  | "ok"
  | "ok_cluster_healthy"
  | "failed"
  | "failed_no_cluster_found"
  | "failed_cluster_empty"
  | "failed_cluster_unhealthy"
  | "cached";

const degradedField = "x-envoy-degraded";
const serviceField = "x-envoy-upstream-healthchecked-cluster";

/** Answers health checks in place of the upstream, or lets some of them pass to it. */
export class HealthCheckFilter implements HttpFilter {
  readonly name: string;
  readonly #settings: HealthCheckSettings;
  readonly #services: FilterServices;
  readonly #startMs: number;
  readonly #counters: Readonly<Record<"total" | "ok" | "failed" | "cached" | "degraded", FilterCounter>>;
  #cached: CachedAnswer | undefined;
  /** Checks that were sent to the upstream, and whose answers will be cached. */
  readonly #asking = new WeakSet<FilterRequest>();

  /** `statPrefix` ends in a dot. */
  constructor(name: string, settings: HealthCheckSettings, services: FilterServices, statPrefix: string) {
    this.name = name;
    this.#settings = settings;
    this.#services = services;
    this.#startMs = services.clock.steadyMs();
    const counter = (event: string): FilterCounter => services.statistics.counter(`${statPrefix}health_check.${event}`);
    this.#counters = {
      total: counter("request_total"),
      ok: counter("ok"),
      failed: counter("failed"),
      cached: counter("cached_response"),
      degraded: counter("degraded"),
    };
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    const fails = this.#services.failsHealthChecks();
    // Tell an Envoy that balances load to stop sending requests at once, and not only after its next check.
    if (fails) request.addResponseHeader("x-envoy-immediate-health-check-fail", "true");
    if (!this.#settings.isCheck(request)) return undefined;
    request.markHealthCheck();
    const cached = this.#cached?.interval === this.#interval() ? this.#cached : undefined;
    if (fails) return this.#reply("failed", 503, false);
    if (!this.#settings.passes) return this.#judged();
    if (cached !== undefined) return this.#reply("cached", cached.status, cached.degraded);
    if (this.#settings.cacheMs > 0) this.#asking.add(request);
    request.addResponseHeader(serviceField, this.#services.serviceName);
    return undefined;
  }

  stream(request: FilterRequest): StreamFilter | undefined {
    if (!this.#asking.has(request)) return undefined;
    return {
      responseHead: ({ status, fields }: FilterResponse) => {
        const degraded = fields.some(([name]) => name === degradedField);
        this.#cached = { status, degraded, interval: this.#interval() };
        return passed;
      },
    };
  }

  /**
   * The proxy's answer according to the health of clusters. A missing cluster counts as unhealthy, and so does a
   * cluster without endpoints if a percentage of them must be healthy.
   */
  #judged(): LocalReply {
    const { leastHealthy } = this.#settings;
    for (const [cluster, percent] of leastHealthy) {
      const health = this.#services.clusterHealth(cluster);
      if (health === undefined) return this.#reply("failed_no_cluster_found", 503, false);
      if (health.total === 0 && percent > 0) return this.#reply("failed_cluster_empty", 503, false);
      if (health.usable * 100 < health.total * percent) return this.#reply("failed_cluster_unhealthy", 503, false);
    }
    return this.#reply(leastHealthy.size === 0 ? "ok" : "ok_cluster_healthy", 200, false);
  }

  /** The number of the current interval. As in Envoy, all answers of one interval are forgotten at its end. */
  #interval(): number {
    const { cacheMs } = this.#settings;
    return cacheMs === 0 ? 0 : Math.floor((this.#services.clock.steadyMs() - this.#startMs) / cacheMs);
  }

  #reply(answerer: Answerer, status: number, degraded: boolean): LocalReply {
    const isGood = status >= 200 && status < 300;
    const { total, ok, failed, cached, degraded: ofDegraded } = this.#counters;
    total.increment();
    (isGood ? ok : failed).increment();
    if (answerer === "cached") cached.increment();
    if (degraded) ofDegraded.increment();
    return {
      status,
      body: "",
      headers: [...(degraded ? [[degradedField, ""] as const] : []), [serviceField, this.#services.serviceName]],
      flag: isGood ? responseFlags.none : responseFlags.failedLocalHealthCheck,
      details: `health_check_${answerer}`,
    };
  }
}
