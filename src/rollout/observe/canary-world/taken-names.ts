import type { UntypedObject } from "../../../api/index.ts";
import { fieldManager, isOurs } from "../../../api/serin/field-managers/index.ts";
import type { Canary, JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { covers, valueAt } from "../../act/object-access.ts";
import { describeReference, referenceKey, type Step, type Write } from "../../decide/index.ts";
import { targetError } from "../../plan/index.ts";
import type { CanarySources } from "./canary-sources.ts";

/**
 * Throws if another object already has the name of an object that the plan makes. The plan would not change that
 * object, and the Canary's routes would rely on it: such a Service may select the pods of both versions, and such a
 * VirtualService may belong to another host. The user chose the name of the Service for previews, so that Service may
 * exist. Objects that the journal lists as created are the Canary's own.
 */
export async function refuseTakenNames(
  { objects }: Pick<CanarySources, "objects">,
  canary: Canary,
  steps: readonly Step[],
  journal: readonly JournalEntry[] = [],
): Promise<void> {
  for (const { object, refusal } of madeObjects(canary, steps, journal)) {
    const error = refusal(await objects.get(object));
    if (error !== undefined) throw error;
  }
}

/**
 * The objects of {@link refuseTakenNames}. Each has a function that returns the error, given the object that has the
 * name.
 */
export function madeObjects(
  { spec: { target } }: Canary,
  steps: readonly Step[],
  journal: readonly JournalEntry[],
): readonly {
  readonly object: ObjectReference;
  readonly refusal: (found: UntypedObject | undefined) => Error | undefined;
}[] {
  const preview = "deployment" in target ? target.deployment.previewService : undefined;
  const made = steps.flatMap(({ writes }) =>
    writes.flatMap((write): [string, Creation][] =>
      write.type === "create" &&
      write.object.kind !== "ReferenceGrant" &&
      !(write.object.kind === "Service" && write.object.name === preview)
        ? [[referenceKey(write.object), write]]
        : [],
    ),
  );
  const known = new Set(journal.flatMap(({ type, object }) => (type === "created" ? [referenceKey(object)] : [])));
  const field = Object.keys(target)[0] ?? "";
  return [...new Map(made)].flatMap(([key, write]) =>
    known.has(key) ? [] : [{ object: write.object, refusal: (found) => refusalOf(field, write, found) }],
  );
}

function refusalOf(field: string, write: Creation, found: UntypedObject | undefined): Error | undefined {
  if (found === undefined) return undefined;
  if (!isMade(found)) return nameTaken(field, write.object);
  return runsOther(found, write) ? otherTemplate(field, write.object) : undefined;
}

type Creation = Extract<Write, { type: "create" }>;

/**
 * Whether the object is a copy from an earlier run, with another pod template than this run's. A Canary that was
 * deleted with `onDeletion: Leave` leaves such a copy. With that copy, the run would judge the old version and then
 * roll out the new one.
 */
function runsOther(found: UntypedObject, { object, body }: Creation): boolean {
  if (object.kind !== "Deployment" || found.metadata.deletionTimestamp !== undefined) return false;
  return !covers(valueAt(found, "/spec/template"), valueAt(body, "/spec/template"));
}

function otherTemplate(field: string, object: ObjectReference): Error {
  const { name, namespace = "" } = object;
  return targetError(
    "target-taken",
    `spec.target.${field}: ${describeReference(object)}, which an earlier run has left, runs another pod template than the one that this Canary rolls out`,
    `let no route send requests to it, and delete it; then the rollout continues: kubectl delete deployment ${name} -n ${namespace}`,
  );
}

/**
 * Whether an engine has made the object. The label counts too, because the objects of a restored backup name another
 * writer, but keep the label.
 */
function isMade(found: UntypedObject): boolean {
  return isOurs(found) || found.metadata.labels?.["app.kubernetes.io/managed-by"] === fieldManager;
}

export function nameTaken(target: string, object: ObjectReference): Error {
  return targetError(
    "target-taken",
    `spec.target.${target}: ${describeReference(object)} exists already, and this Canary makes an object of that name`,
    "rename it, or delete it if nothing needs it",
  );
}
