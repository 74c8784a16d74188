import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { messageOf } from "../../base/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import {
  canaryKind,
  hasUndoFinalizer,
  kubectlObject,
  meshUpgradeKind,
  ownUidAnnotation,
  undoFinalizer,
  type JournalEntry,
} from "../../api/serin/index.ts";
import { itemsIfServed, type KubeClient } from "../../kube/index.ts";
import type { Decision } from "../decide/index.ts";

const namesShown = 20;

/**
 * Whether the object must stay, because its next writes or the preparation of its target must be undone before its
 * deletion.
 */
export function needsFinalizer({ actions }: Decision, journal: readonly JournalEntry[]): boolean {
  return (
    actions.some(({ type }) => type === "journal" || type === "write" || type === "undo") ||
    journal.some(({ setup }) => setup === true)
  );
}

/**
 * Whether the object has what it needs before the first write: the finalizer, and the annotation with its uid, by which
 * the engine recognises a copy.
 */
export function isPrepared(object: KubernetesObject): boolean {
  return hasUndoFinalizer(object) && object.metadata.annotations?.[ownUidAnnotation] !== undefined;
}

/**
 * Keeps the object until its changes are undone, and notes its uid in an annotation, by which the engine recognises a
 * copy. Returns its new version. Throws `conflict` if somebody else wrote it meanwhile.
 */
export async function addFinalizer<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  object: Value,
): Promise<string> {
  const { finalizers = [], annotations, uid } = object.metadata;
  // A copy keeps the uid of its original until a person takes it over.
  const isNoted = uid === undefined || annotations?.[ownUidAnnotation] !== undefined;
  return await writeFinalizers(client, kind, object, {
    finalizers: [...finalizers.filter((finalizer) => finalizer !== undoFinalizer), undoFinalizer],
    ...(isNoted ? {} : { annotations: { [ownUidAnnotation]: uid } }),
  });
}

/** Removes the finalizer. Returns the object's new version. */
export async function removeFinalizer<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  object: Value,
): Promise<string> {
  const left = (object.metadata.finalizers ?? []).filter((finalizer) => finalizer !== undoFinalizer);
  return await writeFinalizers(client, kind, object, { finalizers: left });
}

async function writeFinalizers<Value extends KubernetesObject>(
  client: KubeClient,
  kind: KindDefinition<Value>,
  { metadata }: Value,
  written: Pick<KubernetesObject["metadata"], "finalizers" | "annotations">,
): Promise<string> {
  const patch = { metadata: { resourceVersion: metadata.resourceVersion, ...written } };
  const answer = await client.patchMerge(kind, metadata.name ?? "", metadata.namespace, patch, { fieldManager });
  return answer.metadata.resourceVersion ?? "";
}

/**
 * Why the engine must not be uninstalled: some rollouts could not be deleted without it, or cannot be read. Undefined
 * if there are none.
 */
export async function removalRefusal(client: KubeClient): Promise<string | undefined> {
  const nevertheless = "To remove the engine nevertheless: helm uninstall --no-hooks";
  let commands: readonly string[];
  try {
    commands = await deletions(client);
  } catch (error) {
    return `the API server does not say whether rollouts need the engine: ${messageOf(error)}. ${nevertheless}`;
  }
  if (commands.length === 0) return undefined;
  const more = commands.length > namesShown ? ` and ${commands.length - namesShown} more` : "";
  return `only the rollout engine can undo these rollouts, and without it neither they nor their namespaces can be deleted. Delete them first, and wait until they are gone: ${commands.slice(0, namesShown).join("; ")}${more}. ${nevertheless}`;
}

async function deletions(client: KubeClient): Promise<readonly string[]> {
  const commands: string[] = [];
  for (const kind of [canaryKind, meshUpgradeKind] as readonly KindDefinition[])
    for (const object of await itemsIfServed(client.list(kind)))
      if (hasUndoFinalizer(object)) commands.push(`kubectl delete ${kubectlObject(kind.kind, object.metadata)}`);
  return commands;
}
