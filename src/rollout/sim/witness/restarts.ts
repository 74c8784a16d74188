import type { JournalEntry, RolloutStatus } from "../../../api/serin/index.ts";
import { invariant } from "../../../base/index.ts";
import { referenceKey } from "../../decide/index.ts";
import type { ModelCluster } from "../model-cluster.ts";
import { engineWriter } from "../model-object.ts";
import { isBroken, podRev, restartPointer } from "../sim-mesh.ts";

const pointers = [restartPointer, podRev];

export function noteRestarts(restarted: Set<string>, entries: readonly JournalEntry[]): void {
  for (const entry of entries)
    if (entry.type === "field" && pointers.includes(entry.pointer)) restarted.add(referenceKey(entry.object));
}

/**
 * Checks that the workloads that an upgrade's run has restarted have all their pods again when the upgrade is rolled
 * back.
 */
export function hasItsPods(
  cluster: ModelCluster,
  key: string,
  { restarted }: { readonly restarted: ReadonlySet<string> },
  { undo }: RolloutStatus,
): void {
  const late = [...cluster.objects.values()].find(
    ({ reference, readyAtMs, writers }) =>
      cluster.nowMs < readyAtMs &&
      !isBroken(reference) &&
      restarted.has(referenceKey(reference)) &&
      !cluster.endedNamespaces.has(reference.namespace ?? "") &&
      pointers.some((pointer) => writers.get(pointer) === engineWriter),
  );
  invariant(
    late === undefined,
    `${key} is rolled back while ${late?.reference.name ?? ""} starts (${undo?.elapsedMs ?? 0} ms)`,
  );
}
