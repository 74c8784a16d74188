import { mergeSnapshots, type FamilySnapshot } from "../render-prometheus.ts";

/** What several threads count, as one. What a thread that has ended had counted when it was asked last is not lost. */
export class ThreadMetrics {
  readonly #shared: ReadonlySet<string>;
  readonly #threads = new Map<number, readonly FamilySnapshot[]>();
  #past: readonly FamilySnapshot[] = [];

  /** `shared`: metrics that say the same in all threads, of which the greatest stands. */
  constructor(shared: ReadonlySet<string> = new Set()) {
    this.#shared = shared;
  }

  /** What a thread has counted until now. */
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

  /** Together with what the process itself counts. */
  merged(own: readonly FamilySnapshot[]): readonly FamilySnapshot[] {
    return mergeSnapshots([own, ...this.#threads.values(), this.#past], this.#shared);
  }
}
