// Istio's host names: a name, a wildcard `*.suffix` whose `*` matches one or more labels, or `*` for all names. The
// Gateway API's hostnames are the same.

export function isWildcard(host: string): boolean {
  return host.startsWith("*");
}

export function hostCovers(wide: string, narrow: string): boolean {
  if (!isWildcard(wide)) return wide === narrow;
  if (!isWildcard(narrow)) return narrow.endsWith(wide.slice(1));
  return narrow.length >= wide.length && narrow.slice(1).endsWith(wide.slice(1));
}

export function hostsOverlap(left: string, right: string): boolean {
  return hostCovers(left, right) || hostCovers(right, left);
}

/** The more specific of two overlapping host names. Undefined if they do not overlap. */
export function narrowerHost(left: string, right: string): string | undefined {
  if (hostCovers(left, right)) return right;
  return hostCovers(right, left) ? left : undefined;
}
