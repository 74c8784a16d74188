import { mergeSnapshots, type FamilySnapshot } from "../render-prometheus.ts";

/**
 * Merges the metrics of several threads, as if one had counted them. The last known counts of a thread that has ended
 * are kept.
 */
export class ThreadMetrics {
  readonly #shared: ReadonlySet<string>;
  readonly #threads = new Map<number, readonly FamilySnapshot[]>();
  #past: readonly FamilySnapshot[] = [];

  /** `shared` names the metrics that have the same value in all threads. Their greatest value is used. */
  constructor(shared: ReadonlySet<string> = new Set()) {
    this.#shared = shared;
  }

  /** Records a thread's counts so far. */
  take(thread: number, snapshot: readonly FamilySnapshot[]): void {
    this.#threads.set(thread, snapshot);
  }

  ended(thread: number): void {
    const last = this.#threads.get(thread) ?? [];
    this.#threads.delete(thread);
    this.#past = mergeSnapshots([this.#past, last.filter(({ type }) => type !== "gauge")], this.#shared);
  }

  of(thread: number): readonly FamilySnapshot[] {
    return this.#threads.get(thread) ?? [];
  }

  /** The counts of all threads, together with the process's own. */
  merged(own: readonly FamilySnapshot[]): readonly FamilySnapshot[] {
    return mergeSnapshots([own, ...this.#threads.values(), this.#past], this.#shared);
  }
}
