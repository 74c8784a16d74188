import { podKind, type Pod } from "../api/kubernetes/index.ts";
import { keyOf, type KubernetesObject } from "../api/index.ts";
import { counted, type Clock } from "../base/index.ts";
import type { KubeClient } from "../kube/index.ts";

/** A Deployment or a DaemonSet. */
export interface SelectingWorkload extends KubernetesObject {
  readonly spec?: { readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } };
}

export interface PodsGoneOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly patienceMs: number;
  /**
   * Called repeatedly with the number of remaining pods once the wait has taken a second. Called with `missing`
   * undefined when the wait ends, even if it was short.
   */
  readonly onWait?: (object: string, missing: string | undefined) => void;
}

const pollMs = 250;
const tellAfterMs = 1_000;

/** Waits until the pods of a deleted workload are gone. Returns the pods that remain after `patienceMs`. */
export async function podsLeft(
  { client, clock, patienceMs, onWait }: PodsGoneOptions,
  workload: SelectingWorkload,
): Promise<readonly Pod[]> {
  const began = clock.steadyMs();
  const object = `pods of ${keyOf(workload)}`;
  for (;;) {
    const items = await podsOf(client, workload);
    const waitedMs = clock.steadyMs() - began;
    if (items.length === 0 || waitedMs > patienceMs) {
      onWait?.(object, undefined);
      return items;
    }
    if (waitedMs >= tellAfterMs) onWait?.(object, `waiting until ${counted(items.length, "pod")} ended`);
    await clock.sleep(pollMs);
  }
}

export async function podsOf(client: KubeClient, { metadata, spec }: SelectingWorkload): Promise<readonly Pod[]> {
  const labels = Object.entries(spec?.selector?.matchLabels ?? {}).map((pair) => pair.join("="));
  // An empty selector would match every pod.
  if (labels.length === 0) return [];
  const { items } = await client.list(podKind, {
    namespace: metadata.namespace ?? "",
    labelSelector: labels.join(","),
  });
  return items;
}
