import { podKind, type Pod } from "../api/kubernetes/index.ts";
import type { KubernetesObject } from "../api/index.ts";
import type { Clock } from "../base/index.ts";
import type { KubeClient } from "../kube/index.ts";

/** A Deployment or a DaemonSet. */
export interface SelectingWorkload extends KubernetesObject {
  readonly spec?: { readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> } };
}

export interface PodsGoneOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly patienceMs: number;
}

const pollMs = 250;

/** Waits until a workload that was deleted has no pods. Returns those that remain after the wait. */
export async function podsLeft(
  { client, clock, patienceMs }: PodsGoneOptions,
  workload: SelectingWorkload,
): Promise<readonly Pod[]> {
  const deadline = clock.steadyMs() + patienceMs;
  for (;;) {
    const items = await podsOf(client, workload);
    if (items.length === 0 || clock.steadyMs() > deadline) return items;
    await clock.sleep(pollMs);
  }
}

/** The pods that a workload selects. */
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
