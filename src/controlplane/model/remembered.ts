/** Bounds the keys of one object, such as scopes, namespaces and versions. Beyond it, the oldest keys are evicted. */
const maxWords = 4096;

/**
 * Caches values by an object and a key for as long as the object lives. Equal parts of several scopes then share one
 * value.
 */
export class Remembered<Subject extends object, Value> {
  readonly #values = new WeakMap<Subject, Map<string, Value>>();

  of(subject: Subject, word: string, make: () => Value): Value {
    let values = this.#values.get(subject);
    if (values === undefined) this.#values.set(subject, (values = new Map()));
    let value = values.get(word);
    if (value !== undefined) return value;
    if (values.size >= maxWords) values.delete(values.keys().next().value ?? "");
    values.set(word, (value = make()));
    return value;
  }
}
