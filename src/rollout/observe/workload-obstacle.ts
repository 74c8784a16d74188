import { ownField, withArticle } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { isHeldByCanary } from "../../api/serin/field-managers/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import type { RestartObstacle } from "../plan/index.ts";

const endsByItself: Readonly<Record<string, string>> = {
  Job: "a Job's pods end by themselves",
  Pod: "a bare pod: no controller recreates it, delete and create it",
  ReplicaSet: "a bare ReplicaSet: delete the pod and it makes a new one",
  ReplicationController: "a ReplicationController: delete the pod and it makes a new one",
};

/**
 * Why a change of the workload's template does not replace its pods, as a text for people. Undefined if the change
 * does.
 */
export function whyUnmovable(
  { kind, name, namespace = "" }: ObjectReference,
  found: UntypedObject | undefined,
): string | undefined {
  if (kind === "Rollout") return undefined;
  if (found === undefined)
    return ownField(endsByItself, kind) ?? `it is not known how ${withArticle(kind)} recreates its pods`;
  switch (workloadObstacle(kind, found)) {
    case "paused":
      return `the Deployment is paused: kubectl -n ${namespace} rollout resume deployment/${name}, then restart it`;
    case "held":
      return "a Canary holds the Deployment, and moves it with its next change";
    case "OnDelete":
      return "its updateStrategy is OnDelete: delete its pods one by one";
    case "partition":
      return `its rolling update leaves out pods below number ${partitionOf(found)}`;
    case undefined:
      return undefined;
  }
}

interface RollingSpec {
  readonly paused?: boolean;
  readonly updateStrategy?: { readonly type?: string; readonly rollingUpdate?: { readonly partition?: number } };
}

/** The same as {@link whyUnmovable}, as a code. A `partition` excludes only some of the pods. */
export function workloadObstacle(kind: string, found: UntypedObject): RestartObstacle | undefined {
  const spec = found["spec"] as RollingSpec | undefined;
  if (spec?.paused === true) return isHeldByCanary(found) ? "held" : "paused";
  if (spec?.updateStrategy?.type === "OnDelete") return "OnDelete";
  return kind === "StatefulSet" && partitionOf(found) > 0 ? "partition" : undefined;
}

export function partitionOf(found: UntypedObject): number {
  return (found["spec"] as RollingSpec | undefined)?.updateStrategy?.rollingUpdate?.partition ?? 0;
}
