// Chooses the sources in which a change can cause a new lint error.

/** Files by which a change affects the lint of every source. */
const touchesAll = /^(?:\.oxlintrc\.json|package\.json|package-lock\.json|(?:.*\/)?tsconfig[^/]*\.json)$/;
/** If more sources than this need linting, linting all sources takes about as long. */
const maxSources = 400;

/**
 * Returns the changed sources that still exist, and the sources that import one of them. In the latter, rules that know
 * types may find something new, such as an unawaited promise of a function that has become asynchronous. Returns
 * undefined if all sources need linting. `tree` contains every file of the work tree.
 */
export function sourcesToLint(
  changed: readonly string[],
  tree: ReadonlySet<string>,
  importersOf: (files: ReadonlySet<string>) => readonly string[],
): readonly string[] | undefined {
  if (changed.some((file) => touchesAll.test(file))) return undefined;
  const sources = changed.filter((file) => /\.tsx?$/.test(file));
  if (sources.length === 0) return [];
  const chosen = new Set([...sources, ...importersOf(new Set(sources))].filter((file) => tree.has(file)));
  return chosen.size > maxSources ? undefined : [...chosen].toSorted();
}
