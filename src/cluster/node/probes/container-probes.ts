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
  /** Runs a probe once. */
  readonly attempt?: typeof attemptProbe;
}

/**
 * The pauses between early runs of a probe, in milliseconds. The last one repeats.
 *
 * Until its first success, a startup or readiness probe also runs early, between the runs of its own schedule. Most
 * programs start within a second and parts of a mesh wait for each other, so waiting for the next second would slow
 * everything down. Only a success of an early run counts.
 */
const earlyPausesMs = [0, 20, 20, 40, 40, 60, 80, 80, 100, 100, 120, 120, 120, 160, 200];
/** The pauses for commands. A command needs a process, so it runs early only before its own schedule begins. */
const earlyCommandPausesMs = [0, 20, 40, 80, 160, 320, 500];
/** A container that is not ready after this time is probed only by its schedule. */
const earlyForMs = 60_000;

/** The probes of one run of a container. */
export class ContainerProbes {
  started: boolean;
  ready: boolean;
  readonly #options: ContainerProbesOptions;
  readonly #stop = new AbortController();
  /** Ends the probes by whose failure the container is ended. */
  readonly #stopJudging = new AbortController();

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
    this.#stopJudging.abort();
  }

  /**
   * Goes on with the readiness probe alone. As in a kubelet, a container that is being stopped may become unready, but
   * cannot fail any more.
   */
  watchReadinessAlone(): void {
    this.#stopJudging.abort();
  }

  /** Runs a probe. Returns true when a startup probe has passed, and false at the end. */
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

  /** Waits for `ms`, or until an early run of the probe succeeds. Returns that success, which counts. */
  async #earlySuccess(ms: number, probe: Probe, early: EarlyRuns): Promise<ProbeOutcome | undefined> {
    const { clock, target, attempt = attemptProbe } = this.#options;
    const { signal } = early;
    const endMs = clock.steadyMs() + ms;
    for (;;) {
      const nowMs = clock.steadyMs();
      const pauseMs = nowMs < early.untilMs ? (early.pausesMs[early.done] ?? early.pausesMs.at(-1) ?? ms) : ms;
      // The next regular run comes at the end of the wait.
      if (nowMs + pauseMs >= endMs) {
        await sleepUntil(clock, Math.max(0, endMs - nowMs), signal);
        return undefined;
      }
      if (pauseMs > 0) await sleepUntil(clock, pauseMs, signal);
      if (signal.aborted) return undefined;
      early.done += 1;
      // An application that does not answer must not delay the next regular run.
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

/** The early runs of a probe that has not succeeded yet. */
interface EarlyRuns {
  readonly pausesMs: readonly number[];
  /** The time at which the early runs end. */
  readonly untilMs: number;
  readonly signal: AbortSignal;
  done: number;
}

async function sleepUntil(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch {
    // The wait was aborted. The caller checks the signal.
  }
}
