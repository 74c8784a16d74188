import { maxSources } from "../../decide/index.ts";

/** The last value of each source. Beyond {@link maxSources}, the least recently set source is forgotten. */
export class LastSeen<Value> {
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
