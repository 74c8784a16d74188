/** A change of one field to a value of a wrong type. */
export interface WrongField {
  /** The path and the new value, such as `spec.ports[0] = null`. */
  readonly title: string;
  /** A copy of the object with the change. */
  readonly object: unknown;
}

/**
 * The values that replace a field. "constructor" is also the name of a field that every object inherits, and the last
 * object cannot be converted to a text.
 */
const replacements: readonly (readonly [title: string, value: unknown])[] = [
  ["absent", undefined],
  ["null", null],
  ["3", 3],
  ['"constructor"', "constructor"],
  ["true", true],
  ["[]", []],
  ["{}", {}],
  ["[null]", [null]],
  ["[3]", [3]],
  ['{"toString": 3}', { toString: 3 }],
];

/** Every object that differs from the given one in one field, at any depth, which is absent or of another type. */
export function* wrongFields(object: unknown): Generator<WrongField> {
  for (const path of pathsIn(object)) {
    for (const [title, value] of replacements) {
      const copy = replaced(object, path, value);
      if (copy !== undefined) yield { title: `${pathText(path)} = ${title}`, object: copy };
    }
  }
}

/** Picks about `count` elements, evenly and without order. The seed decides which ones. */
export function sampled<Value>(values: readonly Value[], count: number, seed: number): readonly Value[] {
  if (values.length <= count) return values;
  let state = seed >>> 0;
  return values.filter(() => {
    // The generator of Numerical Recipes, which is even enough here.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32 < count / values.length;
  });
}

type Path = readonly (string | number)[];

function* pathsIn(value: unknown, at: Path = []): Generator<Path> {
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Array.isArray(value) ? value.entries() : Object.entries(value)) {
    const path = [...at, key];
    yield path;
    yield* pathsIn(inner, path);
  }
}

/** A copy that shares everything outside the path. Undefined if nothing would change. */
function replaced(value: unknown, [key, ...rest]: Path, by: unknown): unknown {
  if (key === undefined) return by;
  const copy = Array.isArray(value) ? [...(value as readonly unknown[])] : { ...(value as object) };
  const old: unknown = Reflect.get(copy, key);
  const inner = replaced(old, rest, by);
  if (rest.length === 0 && JSON.stringify(old) === JSON.stringify(by)) return undefined;
  if (inner === undefined && rest.length > 0) return undefined;
  if (inner !== undefined) Reflect.set(copy, key, inner);
  else if (Array.isArray(copy)) copy.splice(Number(key), 1);
  else Reflect.deleteProperty(copy, key);
  return copy;
}

function pathText(path: Path): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`))
    .join("")
    .replace(/^\./, "");
}
