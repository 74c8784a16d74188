/** The readiness of a component. It is ready when no named task is open. */
export class Readiness {
  readonly #open = new Set<string>();

  /** Opens a task. Disposing of the handle completes it. */
  add(task: string): Disposable {
    this.#open.add(task);
    return { [Symbol.dispose]: () => void this.#open.delete(task) };
  }

  get ready(): boolean {
    return this.#open.size === 0;
  }

  pending(): readonly string[] {
    return [...this.#open];
  }
}
