import { truncated, pointerName } from "../../base/index.ts";
import { holderAnnotation, type JournalEntry } from "../../api/serin/index.ts";
import { fieldKey, type FieldEntry } from "./field-entries.ts";
import { describeReference, type Step, type Write } from "./step.ts";

const shownCharacters = 300;

export function conflictDetail(write: Write, found: unknown, expected: unknown, who = "somebody else"): string {
  const what = write.type === "field" ? write.pointer : "object";
  return `${describeReference(write.object)}: ${what} was changed by ${who}: expected ${shown(expected)}, found ${shown(found)}`;
}

export function shown(value: unknown): string {
  return truncated(value === undefined ? "nothing" : JSON.stringify(value), shownCharacters);
}

/**
 * Fields that need not keep the value that their step wrote. A Deployment needs the update strategy of a ScaleFirst
 * wave only until its pods have moved. If somebody resumes a held Deployment, `holdAgain` of decide.ts holds it again.
 * The holder's annotation is needed only after a loss of the journal.
 */
const unkeptPointers: ReadonlySet<string> = new Set([
  "/spec/strategy",
  "/spec/paused",
  `/metadata/annotations/${pointerName(holderAnnotation)}`,
]);

export interface KeptField {
  /** The field's first entry. For a list, `hasOwnChanges` compares the changes since this entry. */
  readonly first: FieldEntry;
  readonly last: FieldEntry;
}

/**
 * The fields that finished steps have written, and that the current step does not write. They must stay as they are: a
 * route that somebody sets back sends requests to the former version while the rollout counts them for the new one.
 * Fields of pods, templates of workloads and fields of copies are not included: pods come and go, users own the
 * templates, and an autoscaler or a person may scale a copy.
 */
export function keptFields(
  { id, writes }: Step,
  journal: readonly JournalEntry[],
  doneSteps: ReadonlySet<string>,
): readonly KeptField[] {
  const kept = new Map<string, KeptField>();
  for (const entry of journal) {
    if (entry.type !== "field") continue;
    kept.set(fieldKey(entry), { first: kept.get(fieldKey(entry))?.first ?? entry, last: entry });
  }
  for (const write of writes) if (write.type === "field") kept.delete(fieldKey(write));
  return [...kept.values()].filter(
    ({ last: { step, object, pointer, restart, adopted, own } }) =>
      step !== id &&
      doneSteps.has(step) &&
      object.kind !== "Pod" &&
      restart === undefined &&
      adopted !== true &&
      own !== true &&
      !unkeptPointers.has(pointer),
  );
}
