import { rfc3339Seconds, type Clock } from "../../base/index.ts";

const maxSilent = 512;
/**
 * After this time without a failed request, the next failure begins a new silence: the pod may have been reachable
 * meanwhile.
 */
const forgottenAfterMs = 60_000;

interface Silence {
  readonly sinceMs: number;
  readonly lastSteadyMs: number;
}

export class SilentPods {
  readonly #clock: Clock;
  readonly #silent = new Map<string, Silence>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Records that the pod has not answered. Returns since when the pod is silent, as RFC 3339 in whole seconds. */
  failed(pod: string): string {
    const steadyMs = this.#clock.steadyMs();
    const known = this.#silent.get(pod);
    const lasts = known !== undefined && steadyMs - known.lastSteadyMs < forgottenAfterMs;
    const sinceMs = lasts ? known.sinceMs : this.#clock.nowMs();
    this.#silent.delete(pod);
    this.#silent.set(pod, { sinceMs, lastSteadyMs: steadyMs });
    if (this.#silent.size > maxSilent) this.#silent.delete(this.#silent.keys().next().value ?? "");
    return rfc3339Seconds(sinceMs);
  }

  answered(pod: string): void {
    this.#silent.delete(pod);
  }
}
