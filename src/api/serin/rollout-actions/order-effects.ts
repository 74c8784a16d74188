import { counted } from "../../../base/index.ts";
import { keyOf } from "../../meta.ts";
import type { RolloutAction } from "../../rollout-action.ts";
import type { JournalEntry, ObjectReference } from "../rollout-journal.ts";
import type { RolloutStatus, StepStatus } from "../rollout-status.ts";
import { isRestored, holdsNextRun, type Rollout } from "./rollout.ts";

/**
 * What the order would change, for the person who gives it. `journal` has the changes that the rollout has made so far.
 */
export function changesOf(
  rollout: Rollout,
  action: RolloutAction,
  journal: readonly JournalEntry[],
): readonly string[] {
  const { status } = rollout;
  const step = status?.step;
  switch (action) {
    case "approve":
      return step === undefined
        ? []
        : [`Step ${step.title} continues when its checks have passed.`, nextStepText(status, step)];
    case "pause":
      return ["The engine changes nothing more until you resume. The changes so far stay."];
    case "resume":
      if (holdsNextRun(rollout)) return ["The abort is taken back. The next change of the Deployment begins a run."];
      if (isRestored(rollout))
        return ["It begins with its first step, with your rights. Orders from before do not apply to it."];
      return [step === undefined ? "It continues where it stopped." : `It continues with step ${step.title}.`];
    case "promote":
      return [
        `The remaining steps are skipped, with their pauses and checks${remainingText(status)}.`,
        "The new version gets all of the traffic at once.",
      ];
    case "complete":
      return [
        "The soak ends now.",
        "The old revision is retired. The engine moves what still depends on it, or reports what blocks the retirement.",
      ];
    case "rollback":
      return undoText(status, journal);
    case "retry":
      return [
        "The object is deleted and created again, without earlier commands; its history is kept.",
        "It starts again with its first step.",
      ];
  }
}

function nextStepText(status: RolloutStatus | undefined, step: StepStatus): string {
  const planned = status?.plannedSteps ?? [];
  const next = planned[planned.findIndex(({ id }) => id === step.id) + 1];
  return next === undefined ? "It is the last step." : `The next step is ${next.title}.`;
}

function remainingText(status: RolloutStatus | undefined): string {
  const planned = status?.plannedSteps ?? [];
  const at = planned.findIndex(({ id }) => id === status?.step?.id);
  const left = at === -1 ? [] : planned.slice(at + 1, -1);
  return left.length === 0 ? "" : `: ${left.map(({ title }) => title).join(", ")}`;
}

const maxUndoLines = 40;

/** The changes of an undo, in the order in which it makes them. */
function undoText(status: RolloutStatus | undefined, journal: readonly JournalEntry[]): readonly string[] {
  if (journal.length === 0) {
    const done = [
      ...(status?.completedSteps ?? []).map(({ title }) => title),
      ...(status?.step === undefined ? [] : [status.step.title]),
    ];
    return done.length === 0
      ? ["Nothing has been changed; the rollout ends."]
      : [`The changes of these steps are undone, the last first: ${done.toReversed().join(", ")}.`];
  }
  const lines = lastingChanges(journal).map(entryText);
  return lines.length <= maxUndoLines
    ? lines
    : [
        ...lines.slice(0, maxUndoLines),
        `and ${counted(lines.length - maxUndoLines, "more change is", "more changes are")} undone.`,
      ];
}

/**
 * The changes that remain after an undo, in the order of the undo. If the undo writes a field several times, only the
 * last value counts. Fields of an object that the undo deletes are left out.
 */
function lastingChanges(journal: readonly JournalEntry[]): readonly JournalEntry[] {
  const created = new Set<string>();
  const fields = new Set<string>();
  const lasting = journal.filter((entry) => {
    const object = objectText(entry.object);
    if (entry.type === "created") created.add(object);
    if (entry.type !== "field") return true;
    const field = `${object} ${entry.pointer}`;
    if (created.has(object) || fields.has(field)) return false;
    fields.add(field);
    return true;
  });
  return lasting.toReversed();
}

function entryText(entry: JournalEntry): string {
  const object = objectText(entry.object);
  if (entry.type === "created") return `${object} is deleted.`;
  if (entry.type === "deleted") return `${object} is created again.`;
  const prior = entry.prior === undefined ? "is removed" : `is set back to ${shortJson(entry.prior)}`;
  return `${object}: ${entry.pointer} ${prior}${entry.restart === undefined ? "." : "; its pods are replaced."}`;
}

function objectText({ kind, name, namespace }: ObjectReference): string {
  return `${kind} ${keyOf({ metadata: { name, ...(namespace === undefined ? {} : { namespace }) } })}`;
}

const maxValueLength = 80;

/** The value as JSON. A long value is only mentioned, because its beginning would tell little. */
function shortJson(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= maxValueLength ? text : "its earlier value";
}
