import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { Clock } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { isCode } from "../status-error.ts";

export interface DeletionWait {
  readonly clock: Pick<Clock, "steadyMs" | "sleep">;
  readonly timeoutMs: number;
  readonly pollMs: number;
  readonly signal?: AbortSignal;
}

/**
 * Deletes this object, and waits until it is gone. Never deletes a newer object with the same name. Returns `replaced`
 * if a newer object with the name exists, and `still-there` if the object is not gone in time.
 */
export async function deleteThisObject<Value extends KubernetesObject>(
  client: Pick<KubeClient, "get" | "delete">,
  kind: KindDefinition<Value>,
  { metadata: { name = "", namespace, uid } }: Value,
  { clock, timeoutMs, pollMs, signal }: DeletionWait,
): Promise<"gone" | "replaced" | "still-there"> {
  try {
    await client.delete(kind, name, namespace, uid === undefined ? {} : { preconditions: { uid } });
  } catch (error) {
    if (isCode(error, "conflict")) return "replaced";
    throw error;
  }
  const deadlineMs = clock.steadyMs() + timeoutMs;
  while (true) {
    const found = await client.get(kind, name, namespace);
    if (found === undefined) return "gone";
    if (found.metadata.uid !== uid) return "replaced";
    if (clock.steadyMs() > deadlineMs) return "still-there";
    await clock.sleep(pollMs, signal);
  }
}
