import { maxSources } from "../../decide/index.ts";

/** The last values of each source. A source that no longer exists is forgotten when enough others have been added. */
export class LastSeen<Value> {
  /** The values by source, the least recently seen source first. */
  readonly #values = new Map<string, Value>();

  get size(): number {
    return this.#values.size;
  }

  get(source: string): Value | undefined {
    return this.#values.get(source);
  }

  set(source: string, value: Value): void {
    this.#values.delete(source);
    this.#values.set(source, value);
    if (this.#values.size > maxSources) this.#values.delete(this.#values.keys().next().value ?? "");
  }
}
