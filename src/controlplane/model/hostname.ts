// Gateway API's hostnames: a name, a wildcard `*.suffix` for one or more labels, or `*` for all.

/** The more specific of two overlapping hostnames. Undefined if they do not overlap. */
export function intersectHostnames(left: string, right: string): string | undefined {
  if (left === right || right === "*") return left;
  if (left === "*") return right;
  if (covers(left, right)) return right;
  return covers(right, left) ? left : undefined;
}

/** Whether the wildcard `wide` covers every name that `narrow` covers. */
function covers(wide: string, narrow: string): boolean {
  if (!wide.startsWith("*.")) return false;
  const suffix = wide.slice(1);
  return narrow.startsWith("*.")
    ? narrow.slice(1).endsWith(suffix)
    : narrow.endsWith(suffix) && narrow.length > suffix.length;
}
