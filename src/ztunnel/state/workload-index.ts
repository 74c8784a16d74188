import type { Workload } from "./model.ts";

/**
 * Workloads by a key that several of them may share. All endpoints of a ServiceEntry share its name, and there may be
 * thousands. So adding or removing a workload must take no longer than with a unique key.
 */
export class WorkloadIndex {
  /** A key's only workload, or its workloads by uid in their order of arrival. */
  readonly #byKey = new Map<string, Workload | Map<string, Workload>>();
  /**
   * The results of {@link rememberedBest} for keys with several workloads. A change of a key's workloads removes its
   * result.
   */
  readonly #best = new Map<string, Workload>();

  get size(): number {
    return this.#byKey.size;
  }

  add(key: string, workload: Workload): void {
    this.#best.delete(key);
    const present = this.#byKey.get(key);
    if (present === undefined) this.#byKey.set(key, workload);
    else if (present instanceof Map) present.set(workload.uid, workload);
    else
      this.#byKey.set(
        key,
        new Map([
          [present.uid, present],
          [workload.uid, workload],
        ]),
      );
  }

  delete(key: string, workload: Workload): void {
    this.#best.delete(key);
    const present = this.#byKey.get(key);
    if (!(present instanceof Map)) {
      if (present === workload) this.#byKey.delete(key);
      return;
    }
    present.delete(workload.uid);
    if (present.size === 0) this.#byKey.delete(key);
  }

  /**
   * Returns the highest-ranked workload of a key. Among workloads of the same rank, returns the latest one. Ignores
   * workloads without a rank.
   */
  best(key: string, rankOf: (workload: Workload) => number | undefined): Workload | undefined {
    const present = this.#byKey.get(key);
    if (present === undefined) return undefined;
    if (!(present instanceof Map)) return rankOf(present) === undefined ? undefined : present;
    let best: Workload | undefined;
    let highest = -Infinity;
    for (const workload of present.values()) {
      const rank = rankOf(workload);
      if (rank === undefined || rank < highest) continue;
      [best, highest] = [workload, rank];
    }
    return best;
  }

  /** Does the same as {@link best}, but caches the result. All calls must therefore pass the same function. */
  rememberedBest(key: string, rankOf: (workload: Workload) => number | undefined): Workload | undefined {
    const known = this.#best.get(key);
    if (known !== undefined) return known;
    const found = this.best(key, rankOf);
    if (found !== undefined && this.#byKey.get(key) instanceof Map) this.#best.set(key, found);
    return found;
  }
}
