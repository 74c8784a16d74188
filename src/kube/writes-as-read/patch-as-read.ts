import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import type { Clock } from "../../base/index.ts";
import type { KubeClient } from "../client.ts";
import { isCode } from "../status-error.ts";

export interface PatchAsRead<Value> {
  /** Returns the patch for this version of the object. The patch must contain the object's resourceVersion. */
  readonly patchOf: (current: Value) => unknown;
  /** Whether the patch still makes sense for the current object. */
  readonly isMeant: (current: Value) => boolean;
  readonly fieldManager: string;
  readonly clock: Pick<Clock, "sleep">;
  readonly signal?: AbortSignal;
}

const attempts = 20;
const retryMs = 50;

/**
 * Patches an object in the version that was read. If somebody has written it meanwhile, reads it again, and patches it
 * if `isMeant` still returns true. Otherwise returns `other`, or `gone` if the object no longer exists.
 */
export async function patchAsRead<Value extends KubernetesObject>(
  client: Pick<KubeClient, "get" | "patchMerge">,
  kind: KindDefinition<Value>,
  object: Value,
  { patchOf, isMeant, fieldManager, clock, signal }: PatchAsRead<Value>,
): Promise<"done" | "other" | "gone"> {
  const { name = "", namespace } = object.metadata;
  let current: Value | undefined = object;
  for (let attempt = 1; current !== undefined; attempt += 1) {
    if (!isMeant(current)) return "other";
    try {
      await client.patchMerge(kind, name, namespace, patchOf(current), { fieldManager });
      return "done";
    } catch (error) {
      if (!isCode(error, "conflict") || attempt >= attempts) throw error;
      await clock.sleep(retryMs, signal);
      current = await client.get(kind, name, namespace);
    }
  }
  return "gone";
}
