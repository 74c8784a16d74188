import {
  aborted,
  Backoff,
  describeError,
  SerinError,
  systemRandom,
  type Clock,
  type Logger,
  type Random,
} from "../base/index.ts";
import type { QueueMetrics } from "./queue-metrics.ts";

export interface ReconcilerOptions {
  /** The name for logs and metrics, such as `deployment`. */
  readonly name: string;
  /**
   * Brings the actual state of one key to the wanted state. It must read both states anew each time (level-triggered).
   * If it throws, the key is retried later. If it returns a number, it is called again after that many milliseconds.
   */
  readonly reconcile: (key: string, signal: AbortSignal) => Promise<number | void>;
  /**
   * The maximum number of keys that are processed concurrently, by default 4. One key is never processed twice at a
   * time.
   */
  readonly concurrency?: number;
  /** The number of consecutive failures after which a key is no longer retried, until it is added again. */
  readonly maxAttempts: number;
  readonly retryInitialMs?: number;
  readonly retryMaxMs?: number;
  /** Processing begins when all of these have resolved, for example the informers' `synced`. */
  readonly after?: readonly Promise<void>[];
  /** The maximum number of waiting keys, by default 200,000. Further keys are dropped, with an error in the log. */
  readonly capacity?: number;
  /** Records the queue's metrics, under {@link name}. */
  readonly queues?: QueueMetrics | undefined;
  readonly log: Logger;
  readonly clock: Clock;
  readonly random?: Random;
}

interface KeyState {
  backoff: Backoff | undefined;
  timer: Disposable | undefined;
}

/**
 * A queue of keys. Adding a waiting key changes nothing. A key that is added while it is being processed is processed
 * once more afterwards. Each failed key is retried with its own backoff.
 */
export class Reconciler {
  /** Resolves when every key that waited when processing began has been processed once. */
  readonly synced: Promise<void>;
  readonly #options: ReconcilerOptions;
  readonly #log: Logger;
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  readonly #again = new Set<string>();
  readonly #states = new Map<string, KeyState>();
  readonly #markSynced: () => void;
  readonly #measured: ReturnType<QueueMetrics["queue"]> | undefined;
  #initial: Set<string> | undefined;
  #signal: AbortSignal | undefined;
  #idle: (() => void) | undefined;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#log = options.log.scoped(options.name);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#markSynced = resolve;
    this.#measured = options.queues?.queue(options.name, options.clock);
  }

  get size(): number {
    return this.#waiting.size + this.#working.size;
  }

  add(key: string): void {
    const capacity = this.#options.capacity ?? 200_000;
    if (this.#working.has(key)) {
      this.#measured?.added(key);
      this.#again.add(key);
      return;
    }
    if (this.#waiting.size >= capacity && !this.#waiting.has(key)) {
      this.#log.error("the queue is full; dropping a key", { key, capacity });
      return;
    }
    // The object has just changed, so do not wait for the planned retry.
    this.#clearTimer(key);
    this.#measured?.added(key);
    this.#waiting.add(key);
    this.#work();
  }

  addAfter(key: string, delayMs: number): void {
    this.#measured?.addedForLater();
    this.#clearTimer(key);
    const state = this.#stateOf(key);
    state.timer = this.#options.clock.after(delayMs, () => {
      state.timer = undefined;
      this.add(key);
    });
  }

  /** Processes keys until the signal aborts, and then waits for those that are being processed. */
  async run(signal: AbortSignal): Promise<void> {
    using _shown = this.#measured?.shown();
    const stop = aborted(signal);
    await Promise.race([Promise.all(this.#options.after ?? []), stop]);
    if (!signal.aborted) {
      this.#initial = new Set(this.#waiting);
      this.#signal = signal;
      this.#finishInitial(undefined);
      this.#work();
      await stop;
    }
    this.#signal = undefined;
    for (const key of this.#states.keys()) this.#clearTimer(key);
    if (this.#working.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  #work(): void {
    const signal = this.#signal;
    if (signal === undefined) return;
    for (const key of this.#waiting) {
      if (this.#working.size >= (this.#options.concurrency ?? 4)) return;
      this.#waiting.delete(key);
      this.#working.add(key);
      this.#measured?.taken(key);
      void this.#attempt(key, signal);
    }
  }

  async #attempt(key: string, signal: AbortSignal): Promise<void> {
    let delayMs: number | undefined;
    try {
      const again = await this.#options.reconcile(key, signal);
      this.#states.get(key)?.backoff?.reset();
      if (typeof again === "number") delayMs = again;
    } catch (error) {
      if (!signal.aborted) delayMs = this.#noteFailure(key, error);
    }
    this.#working.delete(key);
    this.#measured?.done(key);
    this.#finishInitial(key);
    if (this.#again.delete(key)) this.add(key);
    else if (delayMs !== undefined && this.#signal !== undefined) this.addAfter(key, delayMs);
    else if (this.#states.get(key)?.timer === undefined && (this.#states.get(key)?.backoff?.attempt ?? 0) === 0)
      this.#states.delete(key);
    if (this.#signal === undefined && this.#working.size === 0) this.#idle?.();
    this.#work();
  }

  #noteFailure(key: string, error: unknown): number | undefined {
    const { retryInitialMs = 20, retryMaxMs = 30_000, random = systemRandom, maxAttempts } = this.#options;
    const state = this.#stateOf(key);
    state.backoff ??= new Backoff({ initialMs: retryInitialMs, maxMs: retryMaxMs, random });
    const delayMs =
      state.backoff.nextMs() + Math.min(retryMaxMs, error instanceof SerinError ? (error.retryAfterMs ?? 0) : 0);
    const attempt = state.backoff.attempt;
    if (attempt >= maxAttempts) {
      this.#log.error("not retrying until something changes", { key, attempt, error: describeError(error) });
      state.backoff.reset();
      return undefined;
    }
    // Most first failures are conflicts with another writer, which a retry resolves. Warn only about later ones.
    this.#log[attempt < 3 ? "debug" : "warn"]("will retry", {
      key,
      attempt,
      delayMs: Math.round(delayMs),
      error: describeError(error),
    });
    return delayMs;
  }

  #finishInitial(key: string | undefined): void {
    if (this.#initial === undefined) return;
    if (key !== undefined) this.#initial.delete(key);
    if (this.#initial.size > 0) return;
    this.#initial = undefined;
    this.#markSynced();
  }

  #stateOf(key: string): KeyState {
    let state = this.#states.get(key);
    if (state === undefined) this.#states.set(key, (state = { backoff: undefined, timer: undefined }));
    return state;
  }

  #clearTimer(key: string): void {
    const state = this.#states.get(key);
    state?.timer?.[Symbol.dispose]();
    if (state !== undefined) state.timer = undefined;
  }
}
