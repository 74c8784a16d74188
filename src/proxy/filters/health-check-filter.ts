import type { RequestMatcher } from "../routing/matchers.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import { responseFlags } from "../terms/response-flags.ts";
import type { FilterServices } from "./filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "./http-filter.ts";

/** The details of the answer to a health check, by which logs leave it out. */
export const healthCheckDetails = "health_check_ok";

/** Answers health checks in place of the upstream. */
export class HealthCheckFilter implements HttpFilter {
  readonly name: string;
  readonly #isCheck: RequestMatcher;
  readonly #answer: LocalReply;
  readonly #total: FilterCounter;
  readonly #ok: FilterCounter;

  /** `statPrefix` ends in a dot. */
  constructor(name: string, isCheck: RequestMatcher, services: FilterServices, statPrefix: string) {
    this.name = name;
    this.#isCheck = isCheck;
    this.#answer = {
      status: 200,
      body: "",
      headers: [["x-envoy-upstream-healthchecked-cluster", services.serviceName]],
      flag: responseFlags.none,
      details: healthCheckDetails,
    };
    this.#total = services.statistics.counter(`${statPrefix}health_check.request_total`);
    this.#ok = services.statistics.counter(`${statPrefix}health_check.ok`);
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    if (!this.#isCheck(request)) return undefined;
    this.#total.increment();
    this.#ok.increment();
    return this.#answer;
  }
}
