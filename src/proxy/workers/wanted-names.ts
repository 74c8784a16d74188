/** The resources that workers request by name. A name is wanted as long as one of them needs it. */
export class WantedNames {
  readonly #byWorker = new Map<number, Map<string, readonly string[]>>();

  /** Records what a worker needs from now on, by type. Types that it does not mention stay as they are. */
  take(worker: number, names: ReadonlyMap<string, readonly string[]>): void {
    const known = this.#byWorker.get(worker) ?? new Map<string, readonly string[]>();
    for (const [typeUrl, list] of names) known.set(typeUrl, list);
    this.#byWorker.set(worker, known);
  }

  /** Forgets a worker that has ended. Its replacement reports what it needs. */
  end(worker: number): void {
    this.#byWorker.delete(worker);
  }

  /** What the workers need of a type. */
  of(typeUrl: string): Set<string> {
    return new Set([...this.#byWorker.values()].flatMap((known) => known.get(typeUrl) ?? []));
  }
}
