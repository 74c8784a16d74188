/** Words come and go while their subject lives (scopes, namespaces, versions): of more than this the first ones are forgotten. */
const maxWords = 4096;

/**
 * Caches what is made from an object and a key, as long as the object lives. Equal parts of many scopes are then one
 * object.
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
