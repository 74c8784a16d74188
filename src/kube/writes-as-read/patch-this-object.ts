import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { KubeClient } from "../client.ts";
import { isCode } from "../status-error.ts";

/**
 * Writes a merge patch that contains the object's uid. If a newer object has the name by now, the API server refuses
 * the patch as invalid, because a uid cannot change. The function then returns `replaced`.
 */
export async function patchThisObject<Value extends KubernetesObject>(
  client: Pick<KubeClient, "get" | "patchMerge">,
  kind: KindDefinition<Value>,
  { metadata: { name = "", namespace, uid } }: Value,
  { patch, fieldManager }: { readonly patch: unknown; readonly fieldManager: string },
): Promise<"done" | "replaced"> {
  try {
    await client.patchMerge(kind, name, namespace, patch, { fieldManager });
    return "done";
  } catch (error) {
    if (!isCode(error, "invalid") && !isCode(error, "conflict")) throw error;
    const now = await client.get(kind, name, namespace);
    if (now === undefined || now.metadata.uid === uid) throw error;
    return "replaced";
  }
}
