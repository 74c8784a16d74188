import type { RequestMatcher } from "../routing/matchers.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { FilterServices } from "./filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "./http-filter.ts";

/** The response code details of health checks. Access log filters recognise health checks by them. */
const details = { ok: "health_check_ok", failed: "health_check_failed" } as const;

export function isHealthCheck(exchangeDetails: string): boolean {
  return exchangeDetails === details.ok || exchangeDetails === details.failed;
}

/** Answers health checks in place of the upstream. */
export class HealthCheckFilter implements HttpFilter {
  readonly name: string;
  readonly #isCheck: RequestMatcher;
  readonly #services: FilterServices;
  readonly #total: FilterCounter;
  readonly #ok: FilterCounter;
  readonly #failed: FilterCounter;

  /** `statPrefix` ends in a dot. */
  constructor(name: string, isCheck: RequestMatcher, services: FilterServices, statPrefix: string) {
    this.name = name;
    this.#isCheck = isCheck;
    this.#services = services;
    this.#total = services.statistics.counter(`${statPrefix}health_check.request_total`);
    this.#ok = services.statistics.counter(`${statPrefix}health_check.ok`);
    this.#failed = services.statistics.counter(`${statPrefix}health_check.failed`);
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    const fails = this.#services.failsHealthChecks();
    // A load balancer that is an Envoy need not wait for its next check.
    if (fails) request.addResponseHeader("x-envoy-immediate-health-check-fail", "true");
    if (!this.#isCheck(request)) return undefined;
    this.#total.increment();
    (fails ? this.#failed : this.#ok).increment();
    return {
      status: fails ? 503 : 200,
      body: "",
      headers: [["x-envoy-upstream-healthchecked-cluster", this.#services.serviceName]],
      flag: fails ? responseFlags.failedLocalHealthCheck : responseFlags.none,
      details: fails ? details.failed : details.ok,
    };
  }
}
