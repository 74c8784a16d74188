/** The resources that workers request by name. A name stays requested while any worker needs it. */
export class WantedNames {
  readonly #byWorker = new Map<number, Map<string, readonly string[]>>();

  /**
   * Records what a worker needs from now on, by type. Types that it does not mention stay as they are. Returns the
   * names that are new for this worker and that other workers already needed.
   */
  take(worker: number, names: ReadonlyMap<string, readonly string[]>): ReadonlyMap<string, readonly string[]> {
    const known = this.#byWorker.get(worker) ?? new Map<string, readonly string[]>();
    const late = new Map<string, readonly string[]>();
    for (const [typeUrl, list] of names) {
      const [before, others] = [new Set(known.get(typeUrl)), this.of(typeUrl)];
      late.set(
        typeUrl,
        list.filter((name) => !before.has(name) && others.has(name)),
      );
      known.set(typeUrl, list);
    }
    this.#byWorker.set(worker, known);
    return late;
  }

  /** Forgets a worker that has ended. Its replacement reports what it needs. */
  end(worker: number): void {
    this.#byWorker.delete(worker);
  }

  /** The names of the resources of a type that at least one worker needs. */
  of(typeUrl: string): Set<string> {
    return new Set([...this.#byWorker.values()].flatMap((known) => known.get(typeUrl) ?? []));
  }
}
