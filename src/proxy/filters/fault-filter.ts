import { responseFlags } from "../terms/response-flags.ts";
import type { RequestMatcher } from "../routing/matchers.ts";
import { httpStatusOfGrpc } from "../terms/grpc-call.ts";
import type { FilterCounter } from "../terms/filter-statistics.ts";
import type { FilterServices } from "./filter-services.ts";
import type { FilterRequest, HttpFilter, LocalReply } from "./http-filter.ts";

/** A delay for a fraction (0 to 1) of the requests. */
export interface FaultDelay {
  readonly fraction: number;
  /** The denominator of the fraction that a request's header may set: 100, 10,000 or 1,000,000. */
  readonly denominator: number;
  /** The delay. If undefined, the request's header `x-envoy-fault-delay-request` sets it, if present. */
  readonly delayMs: number | undefined;
}

export interface FaultAbort {
  readonly fraction: number;
  readonly denominator: number;
  /**
   * The status of the abort. With `by-header`, the request's header `x-envoy-fault-abort-request` names the HTTP
   * status, or `x-envoy-fault-abort-grpc-request` the gRPC status.
   */
  readonly with: { readonly httpStatus: number } | { readonly grpcStatus: number } | "by-header";
}

export class FaultSettings {
  readonly delay: FaultDelay | undefined;
  readonly abort: FaultAbort | undefined;
  readonly matches: RequestMatcher;
  /** The maximum number of requests with a fault at the same time. Further requests get none. */
  readonly maxActive: number;

  constructor(options: Pick<FaultSettings, "delay" | "abort" | "matches" | "maxActive">) {
    this.delay = options.delay;
    this.abort = options.abort;
    this.matches = options.matches;
    this.maxActive = options.maxActive;
  }
}

/** Delays requests or answers them with an error, as the configuration or the request's headers say. */
export class FaultFilter implements HttpFilter {
  readonly name: string;
  readonly idle: boolean;
  readonly #settings: FaultSettings;
  readonly #services: FilterServices;
  readonly #delays: FilterCounter;
  readonly #aborts: FilterCounter;
  readonly #overflows: FilterCounter;
  #active = 0;

  constructor(name: string, settings: FaultSettings, services: FilterServices, statPrefix: string) {
    this.name = name;
    this.idle = settings.delay === undefined && settings.abort === undefined;
    this.#settings = settings;
    this.#services = services;
    this.#delays = services.statistics.counter(`${statPrefix}fault.delays_injected`);
    this.#aborts = services.statistics.counter(`${statPrefix}fault.aborts_injected`);
    this.#overflows = services.statistics.counter(`${statPrefix}fault.faults_overflow`);
  }

  onRequest(
    request: FilterRequest,
    signal: () => AbortSignal,
  ): LocalReply | undefined | Promise<LocalReply | undefined> {
    const own = request.route?.filterConfigs.get(this.name);
    const settings = own instanceof FaultSettings ? own : this.#settings;
    if ((settings.delay === undefined && settings.abort === undefined) || !settings.matches(request)) return undefined;
    const delayMs = this.#delayOf(settings, request);
    if (delayMs === 0) return this.#abort(settings, request);
    if (!this.#mayBegin(settings)) return undefined;
    return this.#later(delayMs, settings, request, signal());
  }

  async #later(
    delayMs: number,
    settings: FaultSettings,
    request: FilterRequest,
    signal: AbortSignal,
  ): Promise<LocalReply | undefined> {
    this.#active += 1;
    this.#delays.increment();
    try {
      await this.#services.clock.sleep(delayMs, signal);
    } finally {
      this.#active -= 1;
    }
    return this.#abort(settings, request);
  }

  #delayOf({ delay }: FaultSettings, request: FilterRequest): number {
    if (delay === undefined) return 0;
    const delayMs = delay.delayMs ?? numberOf(request.header("x-envoy-fault-delay-request"));
    if (delayMs === undefined || delayMs <= 0) return 0;
    const fraction =
      delay.delayMs === undefined
        ? lowered(delay, request.header("x-envoy-fault-delay-request-percentage"))
        : delay.fraction;
    return this.#services.random() < fraction ? delayMs : 0;
  }

  #abort(settings: FaultSettings, request: FilterRequest): LocalReply | undefined {
    const { abort } = settings;
    if (abort === undefined) return undefined;
    const byHeader = abort.with === "by-header";
    const chosen = abort.with === "by-header" ? statusOfFields(request) : abort.with;
    if (chosen === undefined) return undefined;
    const fraction = byHeader
      ? lowered(abort, request.header("x-envoy-fault-abort-request-percentage"))
      : abort.fraction;
    if (this.#services.random() >= fraction || !this.#mayBegin(settings)) return undefined;
    this.#aborts.increment();
    const common = {
      body: "fault filter abort",
      headers: [],
      flag: responseFlags.faultInjected,
      details: "fault_filter_abort",
    };
    if ("httpStatus" in chosen) return { ...common, status: chosen.httpStatus };
    return { ...common, status: httpStatusOfGrpc(chosen.grpcStatus), grpcStatus: chosen.grpcStatus };
  }

  #mayBegin(settings: FaultSettings): boolean {
    if (this.#active < settings.maxActive) return true;
    this.#overflows.increment();
    return false;
  }
}

function statusOfFields(
  request: FilterRequest,
): { readonly httpStatus: number } | { readonly grpcStatus: number } | undefined {
  const httpStatus = numberOf(request.header("x-envoy-fault-abort-request"));
  if (httpStatus !== undefined && httpStatus >= 200 && httpStatus < 600) return { httpStatus };
  const grpcStatus = numberOf(request.header("x-envoy-fault-abort-grpc-request"));
  return grpcStatus === undefined ? undefined : { grpcStatus };
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** The fraction for a request. A header of the request may lower the configured fraction, and never raise it. */
function lowered(
  { fraction, denominator }: Pick<FaultAbort, "fraction" | "denominator">,
  percentage: string | undefined,
): number {
  const wanted = numberOf(percentage);
  return wanted === undefined ? fraction : Math.min(fraction, wanted / denominator);
}
