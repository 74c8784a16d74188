import type { Clock } from "../../base/index.ts";
import { responseFlags } from "../terms/response-flags.ts";
import { editHeaders, type HeaderMutation, type MutationContext } from "../routing/header-mutation.ts";
import { describeRequest, descriptorsOf, type HostRules } from "../routing/describe-request.ts";
import type { RateLimitRule } from "../routing/route.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import type { DescriptorLimits } from "./descriptor-limits.ts";
import type { FilterServices } from "./filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "./http-filter.ts";
import type { BucketSize, Tokens } from "./tokens.ts";

/** A bucket of tokens that requests take, and that is refilled at intervals. */
export class TokenBucket implements Tokens {
  readonly #max: number;
  readonly #perFill: number;
  readonly #fillIntervalMs: number;
  readonly #clock: Pick<Clock, "steadyMs">;
  #tokens: number;
  #filledAtMs: number;

  constructor(options: BucketSize & { readonly clock: Pick<Clock, "steadyMs"> }) {
    this.#max = options.max;
    this.#perFill = options.perFill;
    this.#fillIntervalMs = options.fillIntervalMs;
    this.#clock = options.clock;
    this.#tokens = options.max;
    this.#filledAtMs = options.clock.steadyMs();
  }

  take(): boolean {
    const fills = Math.floor((this.#clock.steadyMs() - this.#filledAtMs) / this.#fillIntervalMs);
    if (fills > 0) {
      this.#tokens = Math.min(this.#max, this.#tokens + fills * this.#perFill);
      this.#filledAtMs += fills * this.#fillIntervalMs;
    }
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** Limits for requests by what they count for. */
export interface DescriptorLimitSettings {
  readonly limits: DescriptorLimits;
  /** How requests are described. Undefined: as their routes and virtual hosts say. */
  readonly rules: readonly RateLimitRule[] | undefined;
  readonly stage: number;
  readonly hostRules: HostRules;
  /** Whether a request takes a token of {@link LocalRateLimitSettings.bucket} beside those of its descriptors. */
  readonly alwaysBucket: boolean;
}

/** A limit with its tokens, which the requests of a filter, or of a route, share. */
export class LocalRateLimitSettings {
  /** Undefined: no limit for requests without a limit by descriptors. */
  readonly bucket: Tokens | undefined;
  /** Undefined: no limits by descriptors. */
  readonly descriptors: DescriptorLimitSettings | undefined;
  readonly status: number;
  /** The fractions (0 to 1) of requests that are counted, and of those that are refused without a token. */
  readonly enabled: number;
  readonly enforced: number;
  /** Further headers of the response to a refused request. */
  readonly answer: HeaderMutation | undefined;
  /** Headers for the upstream, on a request that exceeded the limit and was admitted. */
  readonly unenforced: HeaderMutation | undefined;
  readonly statPrefix: string;

  constructor(
    options: Pick<
      LocalRateLimitSettings,
      "bucket" | "descriptors" | "status" | "enabled" | "enforced" | "answer" | "unenforced" | "statPrefix"
    >,
  ) {
    this.bucket = options.bucket;
    this.descriptors = options.descriptors;
    this.status = options.status;
    this.enabled = options.enabled;
    this.enforced = options.enforced;
    this.answer = options.answer;
    this.unenforced = options.unenforced;
    this.statPrefix = options.statPrefix;
  }
}

/** Takes a token from each limit that applies. Like Envoy, gives none back if a later limit has none. */
function takeTokens({ bucket, descriptors }: LocalRateLimitSettings, request: FilterRequest): boolean {
  if (descriptors === undefined) return bucket?.take() ?? true;
  const { limits, rules, stage, hostRules, alwaysBucket } = descriptors;
  const found = limits.of(
    rules === undefined ? describeRequest(request, stage, hostRules) : descriptorsOf(rules, request),
  );
  if (!found.every((tokens) => tokens.take())) return false;
  return found.length > 0 && !alwaysBucket ? true : (bucket?.take() ?? true);
}

/** Refuses requests beyond a rate that this proxy counts alone. */
export class LocalRateLimitFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: LocalRateLimitSettings;
  readonly #services: FilterServices;

  constructor(name: string, settings: LocalRateLimitSettings, services: FilterServices) {
    this.name = name;
    this.idle = settings.bucket === undefined && settings.descriptors === undefined;
    this.#settings = settings;
    this.#services = services;
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    const own = request.route?.filterConfigs.get(this.name);
    const settings = own instanceof LocalRateLimitSettings ? own : this.#settings;
    const { random } = this.#services;
    if (settings.bucket === undefined && settings.descriptors === undefined) return undefined;
    if (random() >= settings.enabled) return undefined;
    this.#counter(settings, "enabled").increment();
    if (takeTokens(settings, request)) {
      this.#counter(settings, "ok").increment();
      return undefined;
    }
    this.#counter(settings, "rate_limited").increment();
    if (random() >= settings.enforced) {
      if (settings.unenforced !== undefined) this.#tellUpstream(settings.unenforced, request);
      return undefined;
    }
    this.#counter(settings, "enforced").increment();
    const { status, answer } = settings;
    const headers =
      answer === undefined ? [] : editHeaders([answer], this.#context(request, status), () => false).added;
    return {
      status,
      body: "local_rate_limited",
      headers,
      flag: responseFlags.rateLimited,
      details: "local_rate_limited",
    };
  }

  #tellUpstream(mutation: HeaderMutation, request: FilterRequest): void {
    const { dropped, added } = editHeaders(
      [mutation],
      this.#context(request, 0),
      (name) => request.header(name) !== undefined,
    );
    for (const name of dropped) request.removeHeader(name);
    for (const [name, value] of added) {
      const before = request.header(name);
      request.setHeader(name, before === undefined ? value : `${before},${value}`);
    }
  }

  /** The context of header values. There is no upstream yet, and only our own response. */
  #context(request: FilterRequest, status: number): MutationContext {
    const { connection, metadata } = request;
    const none = { cluster: "", upstreamHost: "", response: undefined };
    return {
      ...none,
      request,
      connection,
      metadata,
      status,
      downstreamPeer: request.valueContext(undefined).downstreamPeer,
      clientAddress: () => request.clientAddress,
      startedMs: this.#services.clock.nowMs(),
      routeName: request.route?.name ?? "",
      flags: () => (status === 0 ? "" : "RL"),
    };
  }

  #counter(settings: LocalRateLimitSettings, name: string): FilterCounter {
    return this.#services.statistics.counter(`${settings.statPrefix}.http_local_rate_limit.${name}`);
  }
}
