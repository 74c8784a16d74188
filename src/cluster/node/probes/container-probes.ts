import type { Probe } from "../../../api/kubernetes/index.ts";
import type { Clock } from "../../../base/index.ts";
import { attemptProbe, type ProbeOutcome, type ProbeTarget } from "./probe-attempt.ts";

export type ProbeKind = "startup" | "liveness" | "readiness";

export interface ProbeFindings {
  readonly started: boolean;
  readonly ready: boolean;
}

export interface ContainerProbesOptions {
  readonly target: ProbeTarget;
  readonly clock: Clock;
  /** Called for each failure that counts, with the text of an event. */
  readonly onUnhealthy: (kind: ProbeKind, message: string) => void;
  /** Called when {@link ContainerProbes.started} or {@link ContainerProbes.ready} changed. */
  readonly onChange: () => void;
  /** The results of an earlier node process for this run. They apply until the first probe results. */
  readonly known?: ProbeFindings | undefined;
  /** Awaited before a container without a readiness probe counts as ready. */
  readonly settled?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Called when the container must be ended, because its liveness or startup probe failed too often. */
  readonly onFailed: (kind: ProbeKind, probe: Probe) => void;
}

/** When a probe also runs before its first success, to save time. Failures of these early runs do not count. */
const earlyMs = [20, 40, 80, 160, 320, 500];

/** The probes of one run of a container. */
export class ContainerProbes {
  started: boolean;
  ready: boolean;
  readonly #options: ContainerProbesOptions;
  readonly #stop = new AbortController();

  constructor(options: ContainerProbesOptions) {
    this.#options = options;
    const { startupProbe, readinessProbe } = options.target.container;
    this.started = options.known?.started ?? startupProbe === undefined;
    this.ready =
      options.known?.ready ??
      (startupProbe === undefined && readinessProbe === undefined && options.settled === undefined);
  }

  /** Runs until {@link stop}. */
  async run(): Promise<void> {
    const { startupProbe, livenessProbe, readinessProbe } = this.#options.target.container;
    if (startupProbe !== undefined && !this.started) {
      const passed = await this.#watch("startup", startupProbe);
      if (!passed) return;
      this.started = true;
      if (readinessProbe === undefined && this.#options.settled === undefined) this.ready = true;
      this.#options.onChange();
    }
    if (readinessProbe === undefined && !this.ready) void this.#settle();
    const running: Promise<boolean>[] = [];
    if (livenessProbe !== undefined) running.push(this.#watch("liveness", livenessProbe));
    if (readinessProbe !== undefined) running.push(this.#watch("readiness", readinessProbe));
    await Promise.all(running);
  }

  async #settle(): Promise<void> {
    const { signal } = this.#stop;
    await this.#options.settled?.(signal);
    if (!signal.aborted) this.#setReady(true);
  }

  stop(): void {
    this.#stop.abort();
  }

  /** Runs a probe. Returns true when a startup probe has passed, and false at the end. */
  async #watch(kind: ProbeKind, probe: Probe): Promise<boolean> {
    const { clock, onUnhealthy, onFailed } = this.#options;
    const signal = this.#stop.signal;
    const periodMs = (probe.periodSeconds ?? 10) * 1_000;
    const failureThreshold = probe.failureThreshold ?? 3;
    const successThreshold = probe.successThreshold ?? 1;
    let successes = 0;
    let failures = 0;
    const isKnown = kind === "readiness" && this.ready;
    if (!isKnown && !(await this.#untilFirst(kind, probe, signal))) return false;
    for (;;) {
      if (signal.aborted) return false;
      const outcome = await attemptProbe(probe, this.#options.target);
      if (signal.aborted) return false;
      successes = outcome.success ? successes + 1 : 0;
      failures = outcome.success ? 0 : failures + 1;
      if (!outcome.success) onUnhealthy(kind, outcome.message);
      if (successes >= successThreshold) {
        if (kind === "startup") return true;
        if (kind === "readiness") this.#setReady(true);
      }
      if (failures >= failureThreshold) {
        if (kind === "readiness") this.#setReady(false);
        else {
          onFailed(kind, probe);
          return false;
        }
      }
      await sleepUntil(clock, periodMs, signal);
    }
  }

  /** Probes early and often. Returns true at the first success, or when the probe's own schedule begins. */
  async #untilFirst(kind: ProbeKind, probe: Probe, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const delayMs = (probe.initialDelaySeconds ?? 0) * 1_000;
    if (kind === "liveness") {
      await sleepUntil(clock, delayMs, signal);
      return !signal.aborted;
    }
    const budgetMs = Math.max(delayMs, (probe.periodSeconds ?? 10) * 1_000);
    const beginMs = clock.steadyMs();
    for (let attempt = 0; clock.steadyMs() - beginMs < budgetMs; attempt += 1) {
      const outcome: ProbeOutcome = await attemptProbe(probe, this.#options.target);
      if (signal.aborted) return false;
      if (outcome.success) return true;
      const left = budgetMs - (clock.steadyMs() - beginMs);
      await sleepUntil(
        clock,
        Math.max(1, Math.min(left, earlyMs[Math.min(attempt, earlyMs.length - 1)] ?? 500)),
        signal,
      );
      if (signal.aborted) return false;
    }
    return true;
  }

  #setReady(ready: boolean): void {
    if (this.ready === ready) return;
    this.ready = ready;
    this.#options.onChange();
  }
}

async function sleepUntil(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch {
    // The wait was aborted. The caller checks the signal.
  }
}
