import type { Deployment, ReplicaSet } from "../../../api/kubernetes/index.ts";
import { availableReplicas, boundsOf, sum } from "./deployment-plan.ts";

export type DeploymentStatus = NonNullable<Deployment["status"]>;
type DeploymentCondition = NonNullable<DeploymentStatus["conditions"]>[number];

/** The API's value that means "no deadline". */
const noDeadlineSeconds = 2_147_483_647;

export interface StatusInputs {
  readonly deployment: Deployment;
  readonly newSet: ReplicaSet | undefined;
  readonly oldSets: readonly ReplicaSet[];
  /** The present time in the API's form, to the second. */
  readonly now: string;
  readonly nowMs: number;
  /** Why the Deployment's ReplicaSet could not be created. Undefined if it was created. */
  readonly failure: string | undefined;
}

export interface StatusDecision {
  readonly status: DeploymentStatus;
  /** Whether all wanted pods are new and available, and no old pod is left. */
  readonly complete: boolean;
  /** The time until the progress deadline must be checked again. */
  readonly lookAgainMs: number | undefined;
}

export function deploymentStatus(inputs: StatusInputs): StatusDecision {
  const { deployment, newSet, oldSets } = inputs;
  const all = newSet === undefined ? oldSets : [newSet, ...oldSets];
  const { desired, maxUnavailable } = boundsOf(deployment);
  const replicas = sum(all, (set) => set.status?.replicas ?? 0);
  const available = sum(all, availableReplicas);
  const total = Math.max(
    desired,
    sum(all, (set) => set.spec?.replicas ?? 0),
  );
  const counts = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas,
    updatedReplicas: newSet?.status?.replicas ?? 0,
    readyReplicas: sum(all, (set) => set.status?.readyReplicas ?? 0),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total - available),
  };
  const complete =
    newSet !== undefined && counts.updatedReplicas === desired && replicas === desired && available >= desired;
  const enough = available >= desired - maxUnavailable;
  const conditions = new Conditions(deployment, inputs.now);
  conditions.set(
    "Available",
    enough ? "True" : "False",
    enough ? "MinimumReplicasAvailable" : "MinimumReplicasUnavailable",
    enough ? "Deployment has minimum availability." : "Deployment does not have minimum availability.",
  );
  const failure =
    inputs.failure === undefined
      ? all.flatMap((set) => set.status?.conditions ?? []).find(({ type }) => type === "ReplicaFailure")
      : { reason: "FailedCreate", message: inputs.failure };
  if (failure === undefined) conditions.remove("ReplicaFailure");
  else conditions.set("ReplicaFailure", "True", failure.reason ?? "", failure.message ?? "");
  const lookAgainMs = setProgressing(conditions, inputs, counts, complete);
  return { status: { ...counts, conditions: conditions.list() }, complete, lookAgainMs };
}

function setProgressing(
  conditions: Conditions,
  inputs: StatusInputs,
  counts: DeploymentStatus,
  complete: boolean,
): number | undefined {
  const { deployment, newSet, nowMs } = inputs;
  const deadlineSeconds = deployment.spec?.progressDeadlineSeconds ?? 600;
  const current = conditions.get("Progressing");
  const subject =
    newSet === undefined
      ? `Deployment "${deployment.metadata.name ?? ""}"`
      : `ReplicaSet "${newSet.metadata.name ?? ""}"`;
  if (deadlineSeconds === noDeadlineSeconds) {
    conditions.remove("Progressing");
    return undefined;
  }
  const succeeded = `${subject} has successfully progressed.`;
  if (deployment.spec?.paused === true) {
    // Do not overwrite the condition of a failed rollout: a pause must not hide the failure.
    if (current?.reason !== "DeploymentPaused" && current?.reason !== "ProgressDeadlineExceeded")
      conditions.set("Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
    return undefined;
  }
  if (complete) {
    conditions.set("Progressing", "True", "NewReplicaSetAvailable", succeeded);
    return undefined;
  }
  // This set has rolled out before. From then on no deadline runs, and only the condition Available shows whether its
  // pods are available.
  if (
    current?.reason === "NewReplicaSetAvailable" &&
    current.message === succeeded &&
    counts.replicas === counts.updatedReplicas
  )
    return undefined;
  if (current?.reason === "DeploymentPaused") {
    conditions.set("Progressing", "Unknown", "DeploymentResumed", "Deployment is resumed");
    return deadlineSeconds * 1000;
  }
  if (current === undefined || progressed(deployment.status, counts) || current.reason === "NewReplicaSetAvailable") {
    conditions.set("Progressing", "True", "ReplicaSetUpdated", `${subject} is progressing.`, true);
    return deadlineSeconds * 1000;
  }
  const leftMs = Date.parse(current.lastUpdateTime ?? current.lastTransitionTime) + deadlineSeconds * 1000 - nowMs;
  if (leftMs > 0) return leftMs;
  conditions.set("Progressing", "False", "ProgressDeadlineExceeded", `${subject} has timed out progressing.`);
  return undefined;
}

function progressed(before: DeploymentStatus | undefined, after: DeploymentStatus): boolean {
  const oldReplicas = (status: DeploymentStatus): number => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  const previous = before ?? {};
  return (
    (after.updatedReplicas ?? 0) > (previous.updatedReplicas ?? 0) ||
    (after.readyReplicas ?? 0) > (previous.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (previous.availableReplicas ?? 0) ||
    oldReplicas(after) < oldReplicas(previous)
  );
}

/** Conditions by type. The transition time of a condition changes only with its status. */
class Conditions {
  readonly #byType = new Map<string, DeploymentCondition>();
  readonly #now: string;

  constructor(deployment: Deployment, now: string) {
    this.#now = now;
    for (const condition of deployment.status?.conditions ?? []) this.#byType.set(condition.type, condition);
  }

  get(type: string): DeploymentCondition | undefined {
    return this.#byType.get(type);
  }

  set(type: string, status: "True" | "False" | "Unknown", reason: string, message: string, touch = false): void {
    const before = this.#byType.get(type);
    if (!touch && before?.status === status && before.reason === reason && before.message === message) return;
    const lastTransitionTime = before?.status === status ? before.lastTransitionTime : this.#now;
    this.#byType.set(type, { type, status, reason, message, lastTransitionTime, lastUpdateTime: this.#now });
  }

  remove(type: string): void {
    this.#byType.delete(type);
  }

  list(): DeploymentCondition[] {
    return [...this.#byType.values()];
  }
}
