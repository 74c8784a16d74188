import type { UntypedObject } from "../../api/index.ts";
import { isEngine, lastWriter, whoWrote } from "../../api/serin/field-managers/index.ts";
import { describeReference, shown, type FieldEntry } from "../decide/index.ts";
import type { UndoContext } from "./undo-context.ts";
import type { UndoResult } from "./undo-play.ts";

/**
 * The conflict of an entry whose field somebody has changed after the rollout wrote it. It names who did that, and what
 * must be undone first. Undefined if the engine wrote the present value for this rollout: after a change of the plan,
 * the journal may have another value. `first`: the rollout's first entry of the field.
 */
export async function conflictOf(
  current: UntypedObject,
  entry: FieldEntry,
  first: FieldEntry,
  context: UndoContext,
  found: unknown,
): Promise<Extract<UndoResult, { state: "conflict" }> | undefined> {
  const changed = { ...entry, prior: first.prior };
  const writer = whoWrote(current, first.pointer);
  if (!isEngine(writer)) {
    const who = writer ?? lastWriter(current) ?? "somebody else";
    return { state: "conflict", detail: conflictText(changed, found, who) };
  }
  const other = await context.otherRollout(first, found);
  if (other === undefined) return undefined;
  const undoFirst = `undo ${other.name} first (${other.undo}), or `;
  return { state: "conflict", detail: conflictText(changed, found, other.name, undoFirst) };
}

function conflictText(
  { object, pointer, step, written, prior }: FieldEntry,
  found: unknown,
  who: string,
  undoFirst = "",
): string {
  return `${describeReference(object)} ${pointer} was changed by ${who} since step ${step}: found ${shown(found)}, the rollout wrote ${shown(written)}; ${undoFirst}set it to ${shown(prior)} (as it was before) or to what the rollout wrote, and the undo continues`;
}
