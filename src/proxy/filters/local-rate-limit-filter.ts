import type { Clock } from "../../base/index.ts";
import { responseFlags } from "../http/response-flags.ts";
import type { FilterCounter } from "./filter-statistics.ts";
import type { FilterServices } from "./filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "./http-filter.ts";

/** Tokens that requests take, and that come back at intervals. */
export class TokenBucket {
  readonly #max: number;
  readonly #perFill: number;
  readonly #fillIntervalMs: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor(options: { readonly max: number; readonly perFill: number; readonly fillIntervalMs: number; readonly clock: Clock }) {
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

/** A limit with its tokens, which the requests of a filter, or of a route, share. */
export class LocalRateLimitSettings {
  /** Undefined: no limit. */
  readonly bucket: TokenBucket | undefined;
  readonly status: number;
  /** Parts of the requests (0 to 1) that are counted, and of those that are refused when there is no token. */
  readonly enabled: number;
  readonly enforced: number;
  readonly answerFields: readonly (readonly [name: string, value: string])[];
  /** Told to the upstream of a request that was counted out and let through. */
  readonly unenforcedFields: readonly (readonly [name: string, value: string])[];
  readonly statPrefix: string;

  constructor(options: Pick<LocalRateLimitSettings, "bucket" | "status" | "enabled" | "enforced" | "answerFields" | "unenforcedFields" | "statPrefix">) {
    this.bucket = options.bucket;
    this.status = options.status;
    this.enabled = options.enabled;
    this.enforced = options.enforced;
    this.answerFields = options.answerFields;
    this.unenforcedFields = options.unenforcedFields;
    this.statPrefix = options.statPrefix;
  }
}

/** Refuses requests beyond a rate, which this proxy counts by itself. */
export class LocalRateLimitFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: LocalRateLimitSettings;
  readonly #services: FilterServices;

  constructor(name: string, settings: LocalRateLimitSettings, services: FilterServices) {
    this.name = name;
    this.idle = settings.bucket === undefined;
    this.#settings = settings;
    this.#services = services;
  }

  onRequest(request: FilterRequest): LocalReply | undefined {
    const own = request.route?.filterConfigs.get(this.name);
    const settings = own instanceof LocalRateLimitSettings ? own : this.#settings;
    const { random } = this.#services;
    if (settings.bucket === undefined || random() >= settings.enabled) return undefined;
    this.#counter(settings, "enabled").increment();
    if (settings.bucket.take()) {
      this.#counter(settings, "ok").increment();
      return undefined;
    }
    this.#counter(settings, "rate_limited").increment();
    if (random() >= settings.enforced) {
      for (const [name, value] of settings.unenforcedFields) request.setHeader(name, value);
      return undefined;
    }
    this.#counter(settings, "enforced").increment();
    return { status: settings.status, body: "local_rate_limited", headers: settings.answerFields, flag: responseFlags.rateLimited, details: "local_rate_limited" };
  }

  #counter(settings: LocalRateLimitSettings, name: string): FilterCounter {
    return this.#services.statistics.counter(`${settings.statPrefix}.http_local_rate_limit.${name}`);
  }
}
