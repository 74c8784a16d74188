/** Gateway API's hostnames: a name, a wildcard `*.suffix` for one or more labels, or `*` for all. */

/** The more specific of two hostnames that have names in common; undefined when they have none. */
export function intersectHostnames(left: string, right: string): string | undefined {
  if (left === right || right === "*") return left;
  if (left === "*") return right;
  if (covers(left, right)) return right;
  return covers(right, left) ? left : undefined;
}

/** Whether every name of `narrow` is one of the wildcard `wide`. */
function covers(wide: string, narrow: string): boolean {
  if (!wide.startsWith("*.")) return false;
  const suffix = wide.slice(1);
  return narrow.startsWith("*.")
    ? narrow.slice(1).endsWith(suffix)
    : narrow.endsWith(suffix) && narrow.length > suffix.length;
}
