export interface WrongField {
  /** The path of the field and its value, such as `spec.ports[0] = null`. */
  readonly title: string;
  readonly object: unknown;
}

/**
 * The values that replace a field. Every object inherits a field "constructor", and the last object cannot be converted
 * to a string.
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

/** Every object that differs from the given one in one field. The field, at any depth, is absent or of another type. */
export function* wrongFields(object: unknown): Generator<WrongField> {
  for (const path of pathsIn(object)) {
    for (const [title, value] of replacements) {
      const copy = replaced(object, path, value);
      if (copy !== undefined) yield { title: `${pathText(path)} = ${title}`, object: copy };
    }
  }
}

/** About `count` of the values, evenly distributed. The same seed picks the same ones. */
export function sampled<Value>(values: readonly Value[], count: number, seed: number): readonly Value[] {
  if (values.length <= count) return values;
  let state = seed >>> 0;
  return values.filter(() => {
    // A linear congruential generator with the constants of Numerical Recipes.
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

/**
 * A copy with the replaced field, which shares everything else with the original. Undefined if nothing would change.
 */
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
