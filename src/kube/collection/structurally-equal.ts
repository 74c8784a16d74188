/**
 * Whether two plain values are equal: records, lists, bytes, Maps, Sets, primitives and protobuf messages. The elements
 * of Sets are compared by identity.
 */
export function structurallyEqual(left: unknown, right: unknown): boolean {
  if (Object.is(left, right)) return true;
  if (typeof left !== "object" || typeof right !== "object" || left === null || right === null) return false;
  if (Array.isArray(left)) return Array.isArray(right) && equalLists(left, right);
  if (left instanceof Uint8Array) return right instanceof Uint8Array && equalBytes(left, right);
  if (left instanceof Map) return right instanceof Map && equalMaps(left, right);
  if (left instanceof Set)
    return right instanceof Set && left.size === right.size && [...left].every((item) => right.has(item));
  if (Array.isArray(right) || right instanceof Uint8Array || right instanceof Map || right instanceof Set) return false;
  return equalRecords(left as Record<string, unknown>, right as Record<string, unknown>);
}

function equalLists(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((item, index) => structurallyEqual(item, right[index]));
}

function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function equalMaps(left: ReadonlyMap<unknown, unknown>, right: ReadonlyMap<unknown, unknown>): boolean {
  if (left.size !== right.size) return false;
  for (const [key, value] of left) if (!right.has(key) || !structurallyEqual(value, right.get(key))) return false;
  return true;
}

function equalRecords(left: Readonly<Record<string, unknown>>, right: Readonly<Record<string, unknown>>): boolean {
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  return keys.every((key) => Object.hasOwn(right, key) && structurallyEqual(left[key], right[key]));
}
