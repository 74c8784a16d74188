/** A JSON object whose fields have not been checked. */
export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value if it is an object, or else an empty object. Callers must not change the result. */
export function objectOf(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

export function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/**
 * A deep copy of a JSON value. Spread and slice copy a whole level in one step, which in a new process is three times
 * as fast as copying field by field. They also keep a field named `__proto__` as an ordinary field.
 */
export function cloneJson<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) {
    const copy: unknown[] = value.slice();
    for (let index = 0; index < copy.length; index++) copy[index] = cloneJson(copy[index]);
    return copy as Value;
  }
  const copy = { ...value } as JsonObject;
  for (const key of Object.keys(copy)) {
    const item = copy[key];
    if (typeof item === "object" && item !== null) copy[key] = cloneJson(item);
  }
  return copy as Value;
}

/** Sets a field whose name a client chose. Even `__proto__` becomes an ordinary field. */
export function setOwn(target: JsonObject, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
  else target[key] = value;
}

/** Appends a key or an index to a path such as `spec.containers[0].name`. */
export function childPath(parent: string, key: string | number): string {
  if (typeof key === "number") return `${parent}[${key}]`;
  return parent === "" ? key : `${parent}.${key}`;
}

/** The elements of a list, each with its path, such as `spec.containers[0]`. */
export function withPaths<Element>(list: readonly Element[], path: string): [path: string, element: Element][] {
  return list.map((element, index) => [childPath(path, index), element]);
}

/** Quickly tests whether a text may contain escapes of surrogates, such as `\ud800`. */
const halfEscape = /\\u[dD][89a-fA-F]/;
/**
 * Matches an escape of JSON. A surrogate pair of two escapes is one match. The group captures half a pair without its
 * other half.
 */
const escapes = /\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(u[dD][89a-fA-F][\da-fA-F]{2})|[^])/g;

/**
 * The text of a JSON value, with U+FFFD in place of each lone half of a surrogate pair, as Go's decoder reads it. UTF-8
 * cannot encode lone halves, so code that encodes the value later would fail or write another text.
 */
export function wellFormedJson(text: string): string {
  if (!halfEscape.test(text)) return text;
  return text.replace(escapes, (escape: string, half: string | undefined) => (half === undefined ? escape : "\\ufffd"));
}
