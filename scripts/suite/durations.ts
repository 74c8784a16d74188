// The recorded duration of each test file, which determines the order of the queue. `npm test -- --record` writes it.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Durations } from "./batches.ts";

const path = join(import.meta.dirname, "durations.json");
/** The shortest duration that is recorded. The queue assumes the same duration for all shorter files. */
const shortestMs = 300;
/** Recorded times are rounded to this, so that a new record changes few lines. */
const roundMs = 100;

export function readDurations(): Durations {
  return JSON.parse(readFileSync(path, "utf8")) as Durations;
}

/** Merges new measurements, and removes files that no longer exist. */
export function recordDurations(before: Durations, measured: Durations, existing: readonly string[]): void {
  const after = Object.fromEntries(
    existing
      .toSorted()
      .map((file): [string, number] => [file, Math.round((measured[file] ?? before[file] ?? 0) / roundMs) * roundMs])
      .filter(([, ms]) => ms >= shortestMs),
  );
  writeFileSync(path, `${JSON.stringify(after, undefined, 2)}\n`);
}
