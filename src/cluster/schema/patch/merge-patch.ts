import { cloneJson, isObject, setOwn, type JsonObject } from "../json.ts";

/** Applies a merge patch (RFC 7386). The result shares no part with the arguments. */
export function applyMergePatch(original: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return cloneJson(patch);
  const result: JsonObject = isObject(original) ? cloneJson(original) : {};
  mergeInto(result, patch);
  return result;
}

function mergeInto(target: JsonObject, patch: JsonObject): void {
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete target[key];
    else if (isObject(value)) {
      const present = Object.hasOwn(target, key) ? target[key] : undefined;
      const next: JsonObject = isObject(present) ? present : {};
      mergeInto(next, value);
      setOwn(target, key, next);
    } else setOwn(target, key, cloneJson(value));
  }
}
