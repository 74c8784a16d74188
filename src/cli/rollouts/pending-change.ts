import { deploymentKind } from "../../api/kubernetes/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import type { Rollout } from "./rollout-objects.ts";

/**
 * Whether a Canary's Deployment has a pod template that its pods do not run yet. While a Canary is at rest, this is a
 * change that the engine has not seen, for example of a `kubectl set image` a moment ago. False if the caller may not
 * read the Deployment.
 */
export async function hasPendingChange(client: Pick<KubeClient, "get">, { metadata, spec }: Rollout): Promise<boolean> {
  const target = "target" in spec && "deployment" in spec.target ? spec.target.deployment : undefined;
  if (target === undefined) return false;
  const found = await undefinedIfForbidden(client.get(deploymentKind, target.name, metadata.namespace));
  if (found === undefined) return false;
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0 } = found.status ?? {};
  return observedGeneration < (found.metadata.generation ?? 0) || updatedReplicas < replicas;
}

const restPhases: ReadonlySet<string> = new Set(["Watching", "Completed", "RolledBack"]);

/** Whether no run is under way, so that only a new change begins one. */
export function isAtRest({ status }: Rollout): boolean {
  return restPhases.has(status?.phase ?? "");
}

/** What a person reads while the engine has not seen the change. */
export function pendingChange({ spec }: Rollout): string {
  const name = "target" in spec && "deployment" in spec.target ? spec.target.deployment.name : "";
  return `Deployment ${name} has a change that the engine has not begun to roll out; waiting for it`;
}
