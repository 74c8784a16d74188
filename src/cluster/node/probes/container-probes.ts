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
  /** Called for each failure of a regular run, with the text of an event. */
  readonly onUnhealthy: (kind: ProbeKind, message: string) => void;
  /** Called when {@link ContainerProbes.started} or {@link ContainerProbes.ready} changed. */
  readonly onChange: () => void;
  /**
   * The results for this run of the container that an earlier process of the node stored. They apply until the first
   * new results.
   */
  readonly known?: ProbeFindings | undefined;
  /**
   * Called before a container without a readiness probe counts as ready. The container is not ready until the promise
   * resolves.
   */
  readonly settled?: ((signal: AbortSignal) => Promise<void>) | undefined;
  /** Called when the container must be ended, because its liveness or startup probe failed too often. */
  readonly onFailed: (kind: ProbeKind, probe: Probe) => void;
  readonly attempt?: typeof attemptProbe;
}

/**
 * The pauses between early runs of a probe, in milliseconds. The last one repeats.
 *
 * Until its first success, a startup or readiness probe also runs early, between the regular runs of its schedule. Most
 * programs start within a second, and parts of a mesh wait for each other, so waiting for the next regular run would
 * slow down the start of a mesh. An early run only has an effect if it succeeds.
 */
const earlyPausesMs = [0, 20, 20, 40, 40, 60, 80, 80, 100, 100, 120, 120, 120, 160, 200];
/**
 * The pauses between early runs of a command, in milliseconds. A command needs a process, so it runs early only before
 * its regular runs begin.
 */
const earlyCommandPausesMs = [0, 20, 40, 80, 160, 320, 500];
/**
 * The time after which early runs end, in milliseconds. A container that is still not ready is probed only by its
 * schedule.
 */
const earlyForMs = 60_000;

export class ContainerProbes {
  started: boolean;
  ready: boolean;
  readonly #options: ContainerProbesOptions;
  readonly #stop = new AbortController();
  /** Aborts the probes whose failure ends the container. */
  readonly #stopJudging = new AbortController();

  constructor(options: ContainerProbesOptions) {
    this.#options = options;
    const { startupProbe, readinessProbe } = options.target.container;
    this.started = options.known?.started ?? startupProbe === undefined;
    this.ready =
      options.known?.ready ??
      (startupProbe === undefined && readinessProbe === undefined && options.settled === undefined);
  }

  /** Runs the probes until {@link stop} is called. */
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
    this.#stopJudging.abort();
  }

  /**
   * Ends all probes except the readiness probe. As with a kubelet, a container that is being stopped may become
   * unready, but its probes cannot end it any more.
   */
  watchReadinessAlone(): void {
    this.#stopJudging.abort();
  }

  /**
   * Runs a probe again and again. Returns true when a startup probe has succeeded, and false when the probes are
   * stopped.
   */
  async #watch(kind: ProbeKind, probe: Probe): Promise<boolean> {
    const { clock, onUnhealthy, onFailed, target, attempt = attemptProbe } = this.#options;
    const { signal } = kind === "readiness" ? this.#stop : this.#stopJudging;
    const delayMs = (probe.initialDelaySeconds ?? 0) * 1_000;
    const periodMs = (probe.periodSeconds ?? 10) * 1_000;
    const failureThreshold = probe.failureThreshold ?? 3;
    const successThreshold = probe.successThreshold ?? 1;
    let successes = 0;
    let failures = 0;
    let early: EarlyRuns | undefined;
    let success: ProbeOutcome | undefined;
    if (kind === "liveness") await sleepUntil(clock, delayMs, signal);
    else if (kind === "startup" || !this.ready) {
      early = this.#earlyRuns(probe, signal);
      success = await this.#earlySuccess(Math.max(delayMs, periodMs), probe, early);
      if (probe.exec !== undefined) early = undefined;
    }
    for (;;) {
      if (signal.aborted) return false;
      const outcome = success ?? (await attempt(probe, target));
      success = undefined;
      if (signal.aborted) return false;
      successes = outcome.success ? successes + 1 : 0;
      failures = outcome.success ? 0 : failures + 1;
      if (!outcome.success) onUnhealthy(kind, outcome.message);
      if (successes > 0) early = undefined;
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
      if (early === undefined) await sleepUntil(clock, periodMs, signal);
      else success = await this.#earlySuccess(periodMs, probe, early);
    }
  }

  #earlyRuns(probe: Probe, signal: AbortSignal): EarlyRuns {
    const pausesMs = probe.exec === undefined ? earlyPausesMs : earlyCommandPausesMs;
    return { pausesMs, untilMs: this.#options.clock.steadyMs() + earlyForMs, signal, done: 0 };
  }

  /** Waits for `ms`, or until an early run of the probe succeeds. Returns the successful outcome. */
  async #earlySuccess(ms: number, probe: Probe, early: EarlyRuns): Promise<ProbeOutcome | undefined> {
    const { clock, target, attempt = attemptProbe } = this.#options;
    const { signal } = early;
    const endMs = clock.steadyMs() + ms;
    for (;;) {
      const nowMs = clock.steadyMs();
      const pauseMs = nowMs < early.untilMs ? (early.pausesMs[early.done] ?? early.pausesMs.at(-1) ?? ms) : ms;
      // The next regular run would begin before another early one.
      if (nowMs + pauseMs >= endMs) {
        await sleepUntil(clock, Math.max(0, endMs - nowMs), signal);
        return undefined;
      }
      if (pauseMs > 0) await sleepUntil(clock, pauseMs, signal);
      if (signal.aborted) return undefined;
      early.done += 1;
      // Limit the early run to the time before the next regular run, because an application that does not answer must
      // not delay the regular run.
      const leftMs = Math.max(1, endMs - clock.steadyMs());
      const timeoutSeconds = Math.min(probe.timeoutSeconds ?? 1, leftMs / 1_000);
      const outcome = await attempt({ ...probe, timeoutSeconds }, target);
      if (outcome.success) return outcome;
      if (signal.aborted) return undefined;
    }
  }

  #setReady(ready: boolean): void {
    if (this.ready === ready) return;
    this.ready = ready;
    this.#options.onChange();
  }
}

/** The state of a probe's early runs, until its first success. */
interface EarlyRuns {
  readonly pausesMs: readonly number[];
  readonly untilMs: number;
  readonly signal: AbortSignal;
  done: number;
}

async function sleepUntil(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch {
    // The sleep was aborted. The caller checks the signal.
  }
}
