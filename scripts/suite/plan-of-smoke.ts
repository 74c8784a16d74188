// Chooses the few files of `npm test -- --smoke`.
import { treeOf } from "./changed-files.ts";
import type { Durations } from "./batches.ts";
import type { Group } from "./groups.ts";
import { ImportGraph } from "./import-graph.ts";
import { spanningFile } from "./plan-of-change.ts";
import { spanningSet } from "./spanning-set.ts";

/** The maximum total of the chosen unit files' recorded durations. */
const budgetMs = 20_000;

export function planOfSmoke(
  root: string,
  files: ReadonlyMap<Group, readonly string[]>,
  durations: Durations,
): Map<Group, readonly string[]> {
  const graph = new ImportGraph(treeOf(root));
  const unit = files.get("unit") ?? [];
  const needs = new Map(
    unit.map((file) => [file, new Set([...graph.allNeedsOf(file).files].filter((one) => one.startsWith("src/")))]),
  );
  const chosen = spanningSet(unit, (file) => needs.get(file) ?? new Set(), durations, budgetMs);
  const count = (some: readonly string[]): number => new Set(some.flatMap((file) => [...(needs.get(file) ?? [])])).size;
  process.stdout.write(
    `unit: ${chosen.length} of ${unit.length} files, which load ${count(chosen)} of ${count(unit)} sources\n`,
  );
  return new Map<Group, readonly string[]>([
    ["unit", chosen],
    ["e2e", (files.get("e2e") ?? []).filter((file) => file === spanningFile)],
  ]);
}
