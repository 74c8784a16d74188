import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { Clock } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { isCode } from "../status-error.ts";
import { patchAsRead } from "./patch-as-read.ts";

/**
 * Creates an object, whose fields the manager then owns as after an apply, so that its next apply removes fields that
 * are no longer in it. Returns `taken`, and changes nothing, if the object already exists.
 */
export async function createAsApplied<Value extends KubernetesObject>(
  client: Pick<KubeClient, "create" | "get" | "patchMerge">,
  kind: KindDefinition<Value>,
  object: Value,
  { fieldManager, clock }: { readonly fieldManager: string; readonly clock: Pick<Clock, "sleep"> },
): Promise<"done" | "taken"> {
  const created = await client.create(kind, object, { fieldManager }).catch((error: unknown) => {
    if (isCode(error, "already-exists")) return undefined;
    throw error;
  });
  if (created === undefined) return "taken";
  const { uid, managedFields } = created.metadata;
  if (managedFields === undefined) return "done";
  await patchAsRead(client, kind, created, {
    patchOf: ({ metadata }) => appliedBy(fieldManager, metadata),
    isMeant: ({ metadata }) => metadata.uid === uid,
    fieldManager,
    clock,
  }).catch(() => {
    // Ignore a failure, because the object exists as requested. The only effect is that a later apply does not remove
    // fields.
  });
  return "done";
}

/** A merge patch that turns the manager's entry of the creation into an entry of an apply. */
function appliedBy(
  fieldManager: string,
  { resourceVersion, managedFields = [] }: KubernetesObject["metadata"],
): KubernetesObject {
  const entries = managedFields.map((entry) =>
    entry.manager === fieldManager && entry.operation === "Update" && entry.subresource === undefined
      ? { ...entry, operation: "Apply" as const }
      : entry,
  );
  return { metadata: { ...(resourceVersion === undefined ? {} : { resourceVersion }), managedFields: entries } };
}
