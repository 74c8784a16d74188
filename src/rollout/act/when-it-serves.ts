import type { JournalEntry } from "../../api/serin/index.ts";
import { givesBackRevision, isCopy, isWorkload, movesTraffic, mustRun } from "./undo-order.ts";
import type { UndoResult } from "./undo-play.ts";
import type { Missing, UndoSurroundings } from "./undo-context.ts";

/** The result for an entry whose value is restored: `waiting` until the entries that rely on the object may follow. */
export async function whenItServes(
  entry: Exclude<JournalEntry, { type: "created" }>,
  surroundings: UndoSurroundings,
): Promise<UndoResult> {
  const missing = await notServing(entry, surroundings);
  return missing === undefined ? { state: "undone" } : { state: "waiting", ...missing };
}

async function notServing(
  entry: Exclude<JournalEntry, { type: "created" }>,
  surroundings: UndoSurroundings,
): Promise<Missing | undefined> {
  const { object, lacked } = entry;
  if (isCopy(entry) || mustRun(entry)) return await surroundings.notReached(object, isScaled(entry), lacked);
  if (givesBackRevision(entry)) return asMissing(await surroundings.notInstalled(entry));
  if (entry.type === "deleted") return isWorkload(entry) ? await surroundings.notReady(object, lacked) : undefined;
  return movesTraffic(entry) ? asMissing(await surroundings.notAcknowledged(object)) : undefined;
}

function asMissing(detail: string | undefined): Missing | undefined {
  return detail === undefined ? undefined : { detail };
}

function isScaled(entry: JournalEntry): boolean {
  return entry.type === "field" && entry.pointer === "/spec/replicas";
}
