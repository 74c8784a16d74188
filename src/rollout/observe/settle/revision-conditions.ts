import type { SettleCondition, SettleState } from "../../decide/index.ts";
import { fieldManager } from "../../../api/serin/field-managers/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { controlPlaneDeployments, controlPlaneRevision, pilotPods } from "../pilot-answers.ts";

type RevisionServes = Extract<SettleCondition, { type: "revisionServes" }>;

export function revisionServesState(
  view: ClusterView,
  { revision, toDo }: Pick<RevisionServes, "revision" | "toDo">,
): SettleState {
  if (pilotPods(view, revision).length > 0) return { state: "met" };
  const known = [...new Set(pilotPods(view).map((pilot) => pilot.revision))].toSorted();
  return {
    state: "waiting",
    detail: `no control plane of revision ${revision} is ready${known.length === 0 ? "" : `; ready: ${known.join(", ")}`}`,
    ...(toDo === undefined ? {} : { obstacle: { toDo } }),
  };
}

/**
 * Whether no control plane of the revision exists that another installer has installed. One that the engine itself
 * installed does not matter.
 */
export function revisionFreeState(view: ClusterView, revision: string): SettleState {
  const found = controlPlaneDeployments(view).find((deployment) => controlPlaneRevision(deployment) === revision);
  const managers = (found?.metadata.managedFields ?? []).map(({ manager }) => manager);
  if (found === undefined || managers.includes(fieldManager)) return { state: "met" };
  const by =
    managers.find(
      (manager) =>
        manager !== undefined && !manager.startsWith("serin-controller") && manager !== "kube-controller-manager",
    ) ?? "somebody else";
  return {
    state: "failed",
    detail: `revision ${revision} already exists: Deployment ${found.metadata.namespace ?? ""}/${found.metadata.name ?? ""} was installed by ${by}. Leave spec.to.install out to move to it as it is, or name another revision`,
  };
}
