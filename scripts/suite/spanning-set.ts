// Chooses a few test files that together load most of the sources that all tests load.
import type { Durations } from "./batches.ts";

/** The shortest time that a run of a file takes. */
const startMs = 200;

/**
 * Repeatedly chooses the file that loads the most new sources for its time, while the budget lasts. Keeps the order of
 * the files.
 */
export function spanningSet(
  files: readonly string[],
  needsOf: (file: string) => ReadonlySet<string>,
  durations: Durations,
  budgetMs: number,
): string[] {
  const chosen = new Set<string>();
  const covered = new Set<string>();
  const candidates = files.map((file) => ({ file, needs: needsOf(file), ms: startMs + (durations[file] ?? 0) }));
  let leftMs = budgetMs;
  for (;;) {
    let best: { file: string; needs: ReadonlySet<string>; ms: number; gain: number } | undefined;
    for (const candidate of candidates) {
      if (chosen.has(candidate.file) || candidate.ms > leftMs) continue;
      const gain = [...candidate.needs].filter((source) => !covered.has(source)).length / candidate.ms;
      if (gain > (best?.gain ?? 0)) best = { ...candidate, gain };
    }
    if (best === undefined) return files.filter((file) => chosen.has(file));
    chosen.add(best.file);
    leftMs -= best.ms;
    for (const source of best.needs) covered.add(source);
  }
}
