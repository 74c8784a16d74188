import { jsonEqualWithoutNulls } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import { isEngine, whoWrote } from "../../../api/serin/field-managers/index.ts";
import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { valueAt, type ObjectAccess } from "../../act/object-access.ts";
import { describeReference, fieldKey, referenceKey, type Step, type Write } from "../../decide/index.ts";
import { createdEntry, fieldEntry, isMadeByEngine, leftField, type DerivedValues } from "./derived-entries.ts";

/** What the planned steps show about a lost journal. `known`: descriptions of the objects that they write. */
export interface ValuesOfSteps extends DerivedValues {
  readonly known: ReadonlySet<string>;
}

/**
 * What one write shows: a journal entry, or a change that is left to a person. Undefined if the write has changed
 * nothing that is left.
 */
type Shown = { readonly entry: JournalEntry } | { readonly left: string } | undefined;

/**
 * Derives entries from the steps that a rollout without a journal may have carried out, in their order. The planned
 * steps contain the prior values: the first content of a route that the rollout makes, and the pod template of the
 * ReplicaSet that serves. The objects show which writes were carried out.
 */
export async function valuesOfSteps(
  objects: Pick<ObjectAccess, "get">,
  steps: readonly Step[],
): Promise<ValuesOfSteps> {
  const read = new Map<string, Promise<UntypedObject | undefined>>();
  const foundOf = async (object: ObjectReference): Promise<UntypedObject | undefined> => {
    const reading = read.get(referenceKey(object)) ?? objects.get(object);
    read.set(referenceKey(object), reading);
    return await reading;
  };
  const entries: JournalEntry[] = [];
  const left: string[] = [];
  const seen = new Set<string>();
  for (const { writes, setup } of steps)
    for (const write of writes) {
      const key = write.type === "field" ? fieldKey(write) : referenceKey(write.object);
      if (seen.has(key)) continue;
      const found = await foundOf(write.object);
      const shown = found === undefined ? undefined : shownBy(write, found, setup === true);
      if (shown === undefined) continue;
      seen.add(key);
      if ("entry" in shown) entries.push(shown.entry);
      else left.push(shown.left);
    }
  const all = steps.flatMap(({ writes }) => writes.map(({ object }) => object));
  return { entries, left, known: new Set(all.map(describeReference)) };
}

function shownBy(write: Write, found: UntypedObject, setup: boolean): Shown {
  if (write.type === "create") return isMadeByEngine(found) ? { entry: createdEntry(write.object, setup) } : undefined;
  // Such objects exist only during a run, so the engine journals none of these writes.
  if (write.type === "delete" || write.own === true) return undefined;
  const current = valueAt(found, write.pointer);
  if (write.adopted !== undefined)
    return jsonEqualWithoutNulls(current, write.adopted.prior)
      ? undefined
      : { entry: fieldEntry(write, found, write.adopted.prior, { setup, adopted: true }) };
  if (write.keeps?.isMade === true)
    return jsonEqualWithoutNulls(current, write.keeps.base)
      ? undefined
      : { entry: fieldEntry(write, found, write.keeps.base, { setup }) };
  const isOurs = isEngine(whoWrote(found, write.pointer));
  // A marked field had no value before. The mark counts too, because a restore from a backup keeps it, but changes the
  // field manager.
  if (write.mark !== undefined)
    return current !== undefined && (isOurs || valueAt(found, write.mark) !== undefined)
      ? { entry: fieldEntry(write, found, undefined, { setup }) }
      : undefined;
  if (!isOurs) return undefined;
  return { left: leftField(write.object, write.pointer) };
}
