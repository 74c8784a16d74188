// How long each test file took when durations were last recorded, by `npm test -- --record`: it orders the queue.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Durations } from "./batches.ts";

const path = join(import.meta.dirname, "durations.json");
/** Files that take less are all alike to the queue. */
const shortestMs = 300;
/** Recorded times are rounded, so that recording again changes little. */
const roundMs = 100;

export function readDurations(): Durations {
  return JSON.parse(readFileSync(path, "utf8")) as Durations;
}

/** Takes over what was measured; files that are gone are forgotten. */
export function recordDurations(before: Durations, measured: Durations, existing: readonly string[]): void {
  const after = Object.fromEntries(
    existing
      .toSorted()
      .map((file): [string, number] => [file, Math.round((measured[file] ?? before[file] ?? 0) / roundMs) * roundMs])
      .filter(([, ms]) => ms >= shortestMs),
  );
  writeFileSync(path, `${JSON.stringify(after, undefined, 2)}\n`);
}
