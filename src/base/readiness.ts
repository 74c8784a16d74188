/** The readiness of a component as a set of named tasks. It is ready when no task is open. */
export class Readiness {
  readonly #open = new Set<string>();

  /**
   * Opens a task. Disposing the returned handle completes the task. Use it with `using`, or keep the handle until the
   * task is done.
   */
  add(task: string): Disposable {
    this.#open.add(task);
    return { [Symbol.dispose]: () => void this.#open.delete(task) };
  }

  get ready(): boolean {
    return this.#open.size === 0;
  }

  /** The names of the tasks that are still open, for the readiness probe's answer. */
  pending(): readonly string[] {
    return [...this.#open];
  }
}
