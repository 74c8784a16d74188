// Runs failed files a second time, alone, and limits the time of a group's runs.
import type { FileCounts } from "./count-reporter.ts";

/** The time limit that all runs of a group share, until {@link beginAnew} starts it again. */
export class GroupLimit {
  readonly #limitMs: number;
  readonly #nowMs: () => number;
  #endsAtMs: number;

  constructor(limitMs: number, nowMs: () => number) {
    this.#limitMs = limitMs;
    this.#nowMs = nowMs;
    this.#endsAtMs = nowMs() + limitMs;
  }

  beginAnew(): void {
    this.#endsAtMs = this.#nowMs() + this.#limitMs;
  }

  /** The time limit of a run that begins now. It is never 0, because 0 would mean no limit. */
  get leftMs(): number {
    return Math.max(1, this.#endsAtMs - this.#nowMs());
  }
}

/**
 * Runs each of these files again. For those that pass, replaces the counts of the first run. The time limit begins anew
 * for each file, because second runs may have to wait for another group, which can take longer than the limit.
 */
export async function runAgain(
  files: readonly string[],
  counts: Map<string, FileCounts>,
  limit: GroupLimit,
  run: (file: string) => Promise<FileCounts | undefined>,
): Promise<void> {
  for (const file of files) {
    process.stdout.write(`a second time, alone: ${file}\n`);
    limit.beginAnew();
    const again = await run(file);
    if (again === undefined || again.failed > 0 || again.passed === 0) continue;
    counts.set(file, again);
    process.stdout.write(`unsteady: ${file}: it passed the second time\n`);
  }
}
