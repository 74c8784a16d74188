import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { undoFinalizer, type JournalEntry } from "../../api/serin/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import type { Decision } from "../decide/index.ts";
import { fieldManager } from "../act/object-access.ts";

export function hasFinalizer({ metadata }: KubernetesObject): boolean {
  return metadata.finalizers?.includes(undoFinalizer) === true;
}

/** What is about to be written, or was to prepare the target, must be put back before the object may go. */
export function needsFinalizer({ actions }: Decision, journal: readonly JournalEntry[]): boolean {
  return (
    actions.some(({ type }) => type === "journal" || type === "write" || type === "undo") ||
    journal.some(({ setup }) => setup === true)
  );
}

/** Keeps the object until what it does is put back; the answer is its new version. Throws `conflict` when somebody else wrote it meanwhile. */
export async function addFinalizer<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  object: Value,
): Promise<string> {
  return await writeFinalizers(client, kind, object, [...(object.metadata.finalizers ?? []), undoFinalizer]);
}

/** Lets the object go; one that is gone already is let go. */
export async function removeFinalizer<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  object: Value,
): Promise<string> {
  const left = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== undoFinalizer);
  return await writeFinalizers(client, kind, object, left);
}

async function writeFinalizers<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  { metadata }: Value,
  finalizers: readonly string[],
): Promise<string> {
  const patch = { metadata: { resourceVersion: metadata.resourceVersion, finalizers } };
  const written = await client.patchMerge(kind, metadata.name ?? "", metadata.namespace, patch, { fieldManager });
  return written.metadata.resourceVersion ?? "";
}
