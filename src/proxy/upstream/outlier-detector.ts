import type { Random } from "../../base/index.ts";

/** The rules by which an endpoint is ejected because of its responses. A number of 0 disables its rule. */
export interface OutlierPolicy {
  readonly consecutiveServerErrors: number;
  /**
   * The number of successive responses with 502, 503 or 504 that ejects an endpoint. Failures without a response count
   * too, unless {@link splitsLocalErrors} is set.
   */
  readonly consecutiveGatewayErrors: number;
  /**
   * The number of successive failures without a response that ejects an endpoint. It applies only if {@link
   * splitsLocalErrors} is set.
   */
  readonly consecutiveLocalErrors: number;
  readonly splitsLocalErrors: boolean;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  /** The maximum random time by which an ejection is longer, in milliseconds. */
  readonly ejectionJitterMs: number;
  /** The maximum percentage (0 to 100) of the cluster's endpoints that are ejected at the same time. */
  readonly maxEjectionPercent: number;
  /** Whether at least one endpoint may be ejected, whatever the percentage is. */
  readonly alwaysEjectsOne: boolean;
}

export type EndpointOutcome =
  | { readonly kind: "answer"; readonly status: number }
  /** A TCP connection was opened. Unlike a request, it gets no response that could be judged. */
  | { readonly kind: "connected" }
  | { readonly kind: "connect-failure" | "reset" | "timeout" };

export class OutlierRecord {
  serverErrors = 0;
  gatewayErrors = 0;
  localErrors = 0;
  /** When the endpoint was ejected, on the steady clock. Undefined while it is not ejected. */
  ejectedAtMs: number | undefined = undefined;
  ejectedForMs = 0;
  /** The number of recent ejections. The more there are, the longer the next one lasts. */
  ejections = 0;

  eject(forMs: number, nowMs: number): void {
    this.ejections += 1;
    this.ejectedAtMs = nowMs;
    this.ejectedForMs = forMs;
    this.forget();
  }

  forget(): void {
    this.serverErrors = 0;
    this.gatewayErrors = 0;
    this.localErrors = 0;
  }
}

export interface OutlierCounters {
  ejections: number;
  /** The number of ejections that the maximum percentage prevented. */
  overflows: number;
}

/** Passive health checking, as in Envoy: ejects endpoints that fail several times in a row. */
export class OutlierDetector {
  readonly #policy: OutlierPolicy;
  readonly #random: Random;
  readonly #records: () => Iterable<OutlierRecord>;
  readonly counters: OutlierCounters = { ejections: 0, overflows: 0 };
  #nextSweepMs = 0;

  /** `records` returns the records of the endpoints that the cluster has now. */
  constructor(policy: OutlierPolicy, random: Random, records: () => Iterable<OutlierRecord>) {
    this.#policy = policy;
    this.#random = random;
    this.#records = records;
  }

  /** Counts an outcome. Returns whether it has ejected the endpoint. */
  report(record: OutlierRecord, outcome: EndpointOutcome, nowMs: number): boolean {
    const fails = this.#count(record, outcome);
    if (!fails || record.ejectedAtMs !== undefined) return false;
    if (!this.#mayEject()) {
      this.counters.overflows += 1;
      record.forget();
      return false;
    }
    const policy = this.#policy;
    const longest = Math.max(policy.maxEjectionMs, policy.baseEjectionMs);
    const growing = Math.min(policy.baseEjectionMs * (record.ejections + 1), longest);
    record.eject(growing + this.#random() * policy.ejectionJitterMs, nowMs);
    this.counters.ejections += 1;
    return true;
  }

  /**
   * Ejects an endpoint that another thread has judged and counted. Returns false if it is ejected already, or if the
   * maximum percentage forbids another ejection.
   */
  eject(record: OutlierRecord, forMs: number, nowMs: number): boolean {
    if (record.ejectedAtMs !== undefined || !this.#mayEject()) return false;
    record.eject(forMs, nowMs);
    return true;
  }

  /**
   * Ends the ejections whose time is over. It may be called often, but acts only once in each interval. Returns whether
   * an endpoint has come back.
   */
  sweep(nowMs: number): boolean {
    if (nowMs < this.#nextSweepMs) return false;
    this.#nextSweepMs = nowMs + this.#policy.intervalMs;
    let changed = false;
    for (const record of this.#records()) {
      if (record.ejectedAtMs === undefined) {
        // An interval without an ejection makes the next ejection shorter again.
        if (record.ejections > 0) record.ejections -= 1;
      } else if (nowMs - record.ejectedAtMs >= record.ejectedForMs) {
        record.ejectedAtMs = undefined;
        record.forget();
        changed = true;
      }
    }
    return changed;
  }

  /** Counts an outcome. Returns whether a threshold has been reached. */
  #count(record: OutlierRecord, outcome: EndpointOutcome): boolean {
    const policy = this.#policy;
    if (outcome.kind === "answer" || outcome.kind === "connected") {
      record.localErrors = 0;
      return outcome.kind === "answer" ? this.#countStatus(record, outcome.status) : this.#countStatus(record, 200);
    }
    if (!policy.splitsLocalErrors) return this.#countStatus(record, outcome.kind === "timeout" ? 504 : 503);
    record.localErrors += 1;
    return reached(record.localErrors, policy.consecutiveLocalErrors);
  }

  #countStatus(record: OutlierRecord, status: number): boolean {
    if (status < 500) {
      record.serverErrors = 0;
      record.gatewayErrors = 0;
      return false;
    }
    record.serverErrors += 1;
    record.gatewayErrors = status >= 502 && status <= 504 ? record.gatewayErrors + 1 : 0;
    return (
      reached(record.serverErrors, this.#policy.consecutiveServerErrors) ||
      reached(record.gatewayErrors, this.#policy.consecutiveGatewayErrors)
    );
  }

  #mayEject(): boolean {
    let total = 0;
    let ejected = 0;
    for (const record of this.#records()) {
      total += 1;
      if (record.ejectedAtMs !== undefined) ejected += 1;
    }
    if (ejected === 0 && this.#policy.alwaysEjectsOne) return true;
    return (100 * (ejected + 1)) / total <= this.#policy.maxEjectionPercent;
  }
}

function reached(count: number, threshold: number): boolean {
  return threshold > 0 && count >= threshold;
}
