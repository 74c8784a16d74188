import type { UntypedObject } from "../../../api/index.ts";
import { fieldManager, isOurs } from "../../../api/serin/field-managers/index.ts";
import type { Canary, JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { describeReference, referenceKey, type Step } from "../../decide/index.ts";
import { targetError } from "../../plan/index.ts";
import type { CanarySources } from "./canary-sources.ts";

/**
 * Throws if the plan makes an object whose name somebody else's object has. The object would stay as it is, and the
 * Canary would write its routes: a Service of that name may select the pods of both versions, and a VirtualService may
 * be that of another host. The Service for previews has a name that the user chose, so it may exist. What the journal
 * has as created is the Canary's own.
 */
export async function refuseTakenNames(
  { objects }: Pick<CanarySources, "objects">,
  { spec: { target } }: Canary,
  steps: readonly Step[],
  journal: readonly JournalEntry[] = [],
): Promise<void> {
  const preview = "deployment" in target ? target.deployment.previewService : undefined;
  const made = steps.flatMap(({ writes }) =>
    writes.flatMap(({ type, object }): [string, ObjectReference][] =>
      type === "create" && object.kind !== "ReferenceGrant" && !(object.kind === "Service" && object.name === preview)
        ? [[referenceKey(object), object]]
        : [],
    ),
  );
  const known = new Set(journal.flatMap(({ type, object }) => (type === "created" ? [referenceKey(object)] : [])));
  for (const [key, object] of new Map(made)) {
    if (known.has(key)) continue;
    const found = await objects.get(object);
    if (found !== undefined && !isMade(found)) throw nameTaken(Object.keys(target)[0] ?? "", object);
  }
}

/** Whether an engine has made the object. A restore from a backup names another writer, but keeps the label. */
function isMade(found: UntypedObject): boolean {
  return isOurs(found) || found.metadata.labels?.["app.kubernetes.io/managed-by"] === fieldManager;
}

/** The error about another object that has the name of one that a Canary makes. */
export function nameTaken(target: string, object: ObjectReference): Error {
  return targetError(
    "target-taken",
    `spec.target.${target}: ${describeReference(object)} exists already, and this Canary makes an object of that name`,
    "rename it, or delete it if nothing needs it",
  );
}
