import type { Canary, JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { describeReference, isUnderWay, referenceKey } from "../../decide/index.ts";
import { targetError } from "../../plan/index.ts";
import type { CanarySources } from "./canary-sources.ts";

const routingKinds: ReadonlySet<string> = new Set([
  "VirtualService",
  "HTTPRoute",
  "GRPCRoute",
  "DestinationRule",
  "Service",
]);

/**
 * Throws if somebody has deleted a route that the Canary has changed, or an object that it has made for its routes.
 * Without such an object, later weights would have no effect, or the Service would send requests to all pods alike.
 */
export async function requireRouting(
  { objects, view }: CanarySources,
  canary: Canary,
  journal: readonly JournalEntry[],
): Promise<void> {
  for (const { object, error } of neededRouting(canary, journal)) {
    const key = referenceKey(object);
    const found = await view.recently(`routing ${key}`, async () => await objects.get(object));
    if (found === undefined) throw error();
  }
}

/** The objects that {@link requireRouting} requires, each with the error to throw if it is gone. */
export function neededRouting(
  canary: Canary,
  journal: readonly JournalEntry[],
): readonly { readonly object: ObjectReference; readonly error: () => Error }[] {
  const needed = journal.filter((entry) => isNeeded(entry, canary));
  const made = new Set(journal.filter(({ type }) => type === "created").map(({ object }) => referenceKey(object)));
  const objects = new Map(needed.map((entry) => [referenceKey(entry.object), entry.object]));
  return [...objects].map(([key, object]) => ({ object, error: () => lostRouting(object, made.has(key)) }));
}

function lostRouting(object: ObjectReference, isMade: boolean): Error {
  const title = describeReference(object);
  return isMade
    ? targetError(
        "target-missing",
        `spec.target: ${title}, which this Canary made, was deleted`,
        "delete this Canary, which undoes its changes, and create it again",
      )
    : targetError(
        "target-missing",
        `spec.target: ${title} was deleted while this Canary moves it`,
        "create it again as it was, and the rollout continues",
      );
}

/** Whether a finished step of this run, or the preparation of its target, needs the entry's object. */
function isNeeded(entry: JournalEntry, { status }: Canary): boolean {
  if (status === undefined || entry.type === "deleted" || !routingKinds.has(entry.object.kind)) return false;
  const isDone = status.completedSteps.some(({ id }) => id === entry.step);
  if (entry.setup === true) return isDone;
  // The current step makes the objects that it created again, but cannot make those of which it changed a field.
  return isUnderWay(status) && (isDone || (entry.type === "field" && status.step?.id === entry.step));
}
