import { deploymentKind } from "../../api/kubernetes/index.ts";
import { isRestingPhase } from "../../api/serin/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import type { Rollout } from "./rollout-objects.ts";

/**
 * The text that `status` shows for a Canary at rest if the engine has not yet seen a change of its Deployment, for
 * example by `kubectl set image` a moment ago. Undefined if there is no such change, or if the caller may not read the
 * Deployment.
 */
export async function pendingChange(
  client: Pick<KubeClient, "get">,
  { metadata, spec, status }: Rollout,
): Promise<string | undefined> {
  const target = "target" in spec && "deployment" in spec.target ? spec.target.deployment : undefined;
  if (target === undefined || status === undefined || !isRestingPhase(status.phase)) return undefined;
  const found = await undefinedIfForbidden(client.get(deploymentKind, target.name, metadata.namespace));
  if (found === undefined) return undefined;
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0 } = found.status ?? {};
  return observedGeneration < (found.metadata.generation ?? 0) || updatedReplicas < replicas
    ? `Deployment ${target.name} has a change that the engine has not begun to roll out; waiting for it`
    : undefined;
}
