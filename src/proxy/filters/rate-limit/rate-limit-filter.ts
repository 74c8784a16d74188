import { describeRequest, descriptorsOf, type HostRules } from "../../routing/describe-request.ts";
import { editHeaders, type HeaderMutation } from "../../routing/header-mutation.ts";
import type { Descriptor, RateLimitRule } from "../../routing/route.ts";
import { responseFlags } from "../../terms/response-flags.ts";
import type { FilterServices } from "../filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "../http-filter.ts";

type Fields = readonly (readonly [name: string, value: string])[];

export interface RateLimitAnswer {
  readonly limited: boolean;
  /** Fields to add to the request to the upstream, and to the response to the client. */
  readonly requestFields: Fields;
  readonly responseFields: Fields;
  /** The response headers about the limits, which the client gets if the filter's configuration allows it. */
  readonly limitFields: Fields;
  readonly body: Buffer;
  readonly metadata: unknown;
}

/** Asks the service about a request. Rejects if there is no answer, or if the answer has no verdict. */
export type AskRateLimit = (
  domain: string,
  descriptors: readonly Descriptor[],
  signal: AbortSignal,
) => Promise<RateLimitAnswer>;

export interface RateLimitSettings {
  readonly domain: string;
  readonly ask: AskRateLimit;
  readonly stage: number;
  /** How requests are described. If undefined, their routes and virtual hosts decide. */
  readonly rules: readonly RateLimitRule[] | undefined;
  /**
   * The fraction (0 to 1) of requests about which the service is asked. Of limited requests, the fraction `enforced` is
   * refused. `deniesOnFailure` is the fraction of requests that are refused if the service does not answer.
   */
  readonly enabled: number;
  readonly enforced: number;
  readonly deniesOnFailure: number;
  readonly status: number;
  readonly statusOnError: number;
  /** The status for a gRPC client. If undefined, it follows from the HTTP status. */
  readonly grpcStatus: number | undefined;
  /** Whether a refusal has the header `x-envoy-ratelimited`, which keeps the caller's proxy from retrying. */
  readonly marksRefusal: boolean;
  readonly sendsLimitFields: boolean;
  readonly answer: HeaderMutation | undefined;
  readonly metadataNamespace: string;
  /** The prefix of the counters' names, which ends in a dot or is empty. */
  readonly statPrefix: string;
}

export class RateLimitRouteSettings {
  readonly hostRules: HostRules;
  readonly rules: readonly RateLimitRule[] | undefined;
  readonly domain: string | undefined;

  constructor({ hostRules, rules, domain }: Pick<RateLimitRouteSettings, "hostRules" | "rules" | "domain">) {
    this.hostRules = hostRules;
    this.rules = rules;
    this.domain = domain;
  }
}

/**
 * Asks an external service whether requests are within their limits. The service counts the requests of many proxies.
 */
export class RateLimitFilter implements HttpFilter {
  readonly name: string;
  readonly #settings: RateLimitSettings;
  readonly #services: FilterServices;

  constructor(name: string, settings: RateLimitSettings, services: FilterServices) {
    this.name = name;
    this.#settings = settings;
    this.#services = services;
  }

  onRequest(request: FilterRequest, signal: () => AbortSignal): Promise<LocalReply | undefined> | undefined {
    const { stage, rules, enabled, domain } = this.#settings;
    if (enabled < 1 && this.#services.random() >= enabled) return undefined;
    const own = request.route?.filterConfigs.get(this.name);
    const route = own instanceof RateLimitRouteSettings ? own : undefined;
    const chosen = route?.rules ?? rules;
    const descriptors =
      chosen === undefined
        ? describeRequest(request, stage, route?.hostRules ?? "override")
        : descriptorsOf(chosen, request);
    return descriptors.length === 0 ? undefined : this.#ask(request, route?.domain ?? domain, descriptors, signal());
  }

  async #ask(
    request: FilterRequest,
    domain: string,
    descriptors: readonly Descriptor[],
    signal: AbortSignal,
  ): Promise<LocalReply | undefined> {
    const { ask, enforced, metadataNamespace } = this.#settings;
    let answer: RateLimitAnswer;
    try {
      answer = await ask(domain, descriptors, signal);
    } catch {
      return this.#failed(request);
    }
    if (answer.metadata !== undefined) request.metadata.set(metadataNamespace, answer.metadata);
    this.#count(request, answer.limited ? "over_limit" : "ok");
    if (this.#settings.sendsLimitFields)
      for (const [name, value] of answer.limitFields) request.addResponseHeader(name, value);
    if (answer.limited && (enforced >= 1 || this.#services.random() < enforced)) return this.#refusal(request, answer);
    for (const [name, value] of answer.requestFields) {
      const before = request.header(name);
      request.setHeader(name, before === undefined ? value : `${before},${value}`);
    }
    for (const [name, value] of answer.responseFields) request.addResponseHeader(name, value);
    return undefined;
  }

  #refusal(request: FilterRequest, { body, responseFields }: RateLimitAnswer): LocalReply {
    const { status, grpcStatus, marksRefusal, answer } = this.#settings;
    const context = { ...request.valueContext(undefined), status, flags: () => "RL" };
    const added = answer === undefined ? [] : editHeaders([answer], context, () => false).added;
    return {
      status,
      body,
      headers: [...responseFields, ...(marksRefusal ? ([["x-envoy-ratelimited", "true"]] as const) : []), ...added],
      flag: responseFlags.rateLimited,
      details: "request_rate_limited",
      ...(grpcStatus === undefined ? {} : { grpcStatus }),
    };
  }

  #failed(request: FilterRequest): LocalReply | undefined {
    const { deniesOnFailure, statusOnError } = this.#settings;
    this.#count(request, "error");
    if (deniesOnFailure < 1 && this.#services.random() >= deniesOnFailure) {
      this.#count(request, "failure_mode_allowed");
      return undefined;
    }
    return {
      status: statusOnError,
      body: "",
      headers: [],
      flag: responseFlags.rateLimitServiceError,
      details: "rate_limiter_error",
    };
  }

  /**
   * Counts for the route's cluster, as in Envoy. A cluster that a request header names is not counted, because a client
   * could invent many names.
   */
  #count({ route, cluster }: FilterRequest, name: string): void {
    const target = route?.action.kind === "forward" ? route.action.target : undefined;
    if (target === undefined || target.kind === "header" || cluster === undefined) return;
    const { statPrefix } = this.#settings;
    this.#services.statistics.counter(`cluster.${cluster}.ratelimit.${statPrefix}${name}`).increment();
  }
}
