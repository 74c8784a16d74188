import { jsonEqual } from "../../../base/index.ts";
import type { FieldError } from "../contract.ts";
import { childPath, isObject, type JsonObject } from "../json.ts";

/**
 * Those fields of errors whose values are equal in both objects. Such a field does not make an update invalid
 * (validation ratcheting, KEP-4008). A key of an object may contain dots and brackets, so the function does not parse
 * the paths of the errors. It compares them with the paths of the values.
 */
export function unchangedFields(
  errors: readonly FieldError[],
  object: JsonObject,
  old: JsonObject,
): ReadonlySet<string> {
  const wanted = new Set(errors.map(({ field }) => field).filter((field) => field !== ""));
  let longest = 0;
  for (const { length } of wanted) longest = Math.max(longest, length);
  const unchanged = new Set<string>();
  const visit = (path: string, next: unknown, previous: unknown): void => {
    if (path.length > longest || previous === undefined) return;
    if (wanted.has(path) && jsonEqual(next, previous)) unchanged.add(path);
    if (Array.isArray(next) && Array.isArray(previous))
      for (const [index, item] of next.entries()) visit(childPath(path, index), item, previous[index]);
    else if (isObject(next) && isObject(previous))
      for (const [key, item] of Object.entries(next))
        visit(childPath(path, key), item, Object.hasOwn(previous, key) ? previous[key] : undefined);
  };
  if (wanted.size > 0) visit("", object, old);
  return unchanged;
}
