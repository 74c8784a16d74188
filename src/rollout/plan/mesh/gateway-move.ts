import { counted } from "../../../base/index.ts";
import {
  gatewayCanaryAnnotations,
  type MeshUpgrade,
  type ObjectReference,
  type RolloutStatus,
} from "../../../api/serin/index.ts";
import type { PlannedCheck, SettleCondition, Step, Write } from "../../decide/index.ts";
import type { ScaledDeployment } from "./mesh-world.ts";
import { hasReached, withoutOvertaken } from "../overtaken-steps.ts";
import { annotationPointer } from "../references.ts";
import { check, namedChecks } from "./planned-check.ts";
import { revisionLabel } from "./sidecar-steps.ts";

/**
 * A gateway whose pods are replaced by those of the new revision: a second Deployment, the canary, stands behind the
 * same Service and grows while the stable one shrinks. Then the stable one gets the new revision's pods, and the canary
 * is deleted.
 */
export interface GatewayMove {
  readonly namespace: string;
  readonly name: string;
  readonly revision: string;
  /** The stable Deployment before the upgrade. */
  readonly deployment: ScaledDeployment;
  /** See `GatewayInWorld.moved`. */
  readonly moved?: boolean | undefined;
  readonly stable: ObjectReference;
  readonly canary: ObjectReference;
  /** The labels of the pods of both Deployments. */
  readonly podLabels: Readonly<Record<string, string>>;
  /** The label of the canary's pods that the stable ones do not have. */
  readonly canaryLabel: string;
  /** The objects that proxies must acknowledge after each step. Empty if proxies do not read the gateway's object. */
  readonly acknowledged: readonly SettleCondition[];
  /** The first check belongs to the control plane, and also judges the steps that only start pods. */
  readonly checks: readonly PlannedCheck[];
  /** Creates the canary if it does not exist, and sets its number of pods. */
  readonly scaleCanary: (pods: number) => readonly Write[];
  /**
   * Set if the upgrade makes the canary's Deployment itself. No control plane makes a deleted one again. `readyPods`
   * does not count pods that are ending.
   */
  readonly madeCanary?: { readonly readyPods: number };
  readonly takeOver: readonly Write[];
  readonly deleteCanary: readonly Write[];
}

/**
 * The steps of the move. A gateway without pods has none, unless it has lost its pods in the middle of the move, or has
 * been moved by an earlier upgrade: then its canary must still be removed.
 */
export function gatewayMoveSteps(move: GatewayMove, weights: readonly number[], status?: RolloutStatus): Step[] {
  const isStopped = move.deployment.replicas === 0;
  const isMoved = move.moved === true;
  if (isStopped && !isMoved && !hasReached(`${idOf(move)}/`, status)) return [];
  // The owner of a gateway without pods has stopped it, and steps by shares would start its pods again.
  const shares = isStopped || isMoved ? [] : sharesOf(weights, move.deployment, runningWeight(move, status));
  const shifts = shares
    .flatMap((share, index) => [startPodsStep(move, share, shares[index - 1]), removePodsStep(move, share)])
    .map((step) => (move.deployment.autoscaled ? withSettledCount(step, status) : step));
  const steps = [...shifts, takeOverStep(move), deleteCanaryStep(move)];
  return withoutOvertaken(steps, status).map((step) => ({ ...step, namespaces: [move.namespace] }));
}

/**
 * The weight of the step under way. The step is judged to its end even if another weight now results in the same
 * numbers of pods.
 */
function runningWeight(move: GatewayMove, status: RolloutStatus | undefined): number | undefined {
  const prefix = `${idOf(move)}/`;
  const { id = "" } = status?.step ?? {};
  return id.startsWith(prefix) ? Number.parseInt(id.slice(prefix.length), 10) : undefined;
}

/**
 * The step, without the writes of pod numbers once it has settled. After that, each write would restart the judgement,
 * and an autoscaler that goes on changing the number would keep the step from ending, or let its settle limit run out.
 * The other writes stay, so that the engine notices when somebody removes the canary. The title keeps the last written
 * number.
 */
function withSettledCount(step: Step, status: RolloutStatus | undefined): Step {
  if (status?.step?.id !== step.id || status.step.settledAt === undefined) return step;
  return { ...step, title: status.step.title, writes: step.writes.filter((write) => !isCount(write)) };
}

const beforePointer = annotationPointer(gatewayCanaryAnnotations.replicasBefore);

/** Whether the write sets a number of pods, in a Deployment's spec or in an annotation. */
function isCount(write: Write): boolean {
  return write.type === "field" && (write.pointer.endsWith("replicas") || write.pointer === beforePointer);
}

/**
 * The new pods must be ready before the old ones are removed, so each weight takes two steps. A weight that only
 * removes old pods has this step too, because a new pod may have ended after the step of the weight before.
 */
function startPodsStep(move: GatewayMove, { weight, canary }: Share, before?: Share): Step {
  const pods = `${counted(canary, "pod")} of ${move.revision}`;
  const action =
    before?.canary === canary
      ? `make sure that ${pods} ${canary === 1 ? "is" : "are"} still ready`
      : `${pods} behind the same Service`;
  return {
    id: `${idOf(move)}/${weight}/pods`,
    title: `${titleOf(move)}: ${action}`,
    writes: move.scaleCanary(canary),
    settle: [{ type: "ready", object: move.canary }, readyPods(move, move.canary, canary), ...move.acknowledged],
    checks: move.checks.slice(0, 1),
  };
}

/**
 * Writes the canary's size again if it may be out of date: an autoscaler may have changed the number of stable pods,
 * and with it the share, or somebody may have deleted the canary. Then no stable pod is removed before all pods of the
 * canary serve again.
 */
function removePodsStep(move: GatewayMove, share: Share): Step {
  const { deployment, madeCanary } = move;
  const isAway = madeCanary !== undefined && madeCanary.readyPods < share.canary;
  return {
    id: `${idOf(move)}/${share.weight}`,
    title: `${titleOf(move)}: ${describeShare(share)} at ${move.revision}`,
    writes: [
      ...(deployment.autoscaled || madeCanary !== undefined ? move.scaleCanary(share.canary) : []),
      ...(isAway ? [] : replicas(move.stable, share.stable, deployment)),
    ],
    settle: [
      ...(isAway ? [{ type: "ready", object: move.canary } as const] : []),
      readyPods(move, move.canary, share.canary),
      { type: "ready", object: move.stable },
      ...move.acknowledged,
    ],
    checks: move.checks,
  };
}

function takeOverStep(move: GatewayMove): Step {
  return {
    id: `${idOf(move)}/own`,
    title: `${titleOf(move)} belongs to ${move.revision}`,
    writes: move.takeOver,
    settle: [
      ...move.acknowledged,
      { ...readyPods(move, move.stable, move.deployment.replicas), without: move.canaryLabel },
      { type: "ready", object: move.stable },
    ],
    checks: move.checks,
  };
}

function deleteCanaryStep(move: GatewayMove): Step {
  return {
    id: `${idOf(move)}/done`,
    title: `${titleOf(move)}: delete the canary`,
    writes: move.deleteCanary,
    settle: [...move.acknowledged, { type: "gone", object: move.canary }],
    checks: [],
  };
}

function idOf({ namespace, name }: GatewayMove): string {
  return `gateway/${namespace}/${name}`;
}

function titleOf({ namespace, name }: GatewayMove): string {
  return `gateway ${namespace}/${name}`;
}

function readyPods(
  { namespace, podLabels, revision }: GatewayMove,
  of: ObjectReference,
  atLeast: number,
): Extract<SettleCondition, { type: "readyPods" }> {
  return { type: "readyPods", of, namespace, labels: { ...podLabels, [revisionLabel]: revision }, atLeast };
}

/**
 * The checks of a gateway in this order: rejected resources, its answers, the probe matrix, and those that the spec
 * names.
 */
export function gatewayChecks(
  upgrade: MeshUpgrade,
  answers: PlannedCheck,
  matrix: readonly PlannedCheck[],
): PlannedCheck[] {
  return namedChecks(
    upgrade,
    [check(upgrade, "xds-nacks", { type: "proxies", revision: upgrade.spec.to.revision }), answers, ...matrix],
    answers.subject,
  );
}

/** The value of the annotation `replicasBefore`. */
export function replicasBefore({ autoscaled, replicas }: ScaledDeployment): string {
  return autoscaled ? "0" : String(replicas);
}

export function replicas(
  object: ObjectReference,
  count: number,
  { autoscaled }: ScaledDeployment,
): Extract<Write, { type: "field" }>[] {
  return autoscaled ? [] : [{ type: "field", object, pointer: "/spec/replicas", value: count }];
}

interface Share {
  readonly weight: number;
  readonly canary: number;
  readonly stable: number;
}

/**
 * Computes the numbers of pods whose share comes nearest to each weight. Weights with the same numbers become one step.
 * If an autoscaler decides the number of stable pods, all of these stay until they are replaced. A canary that an
 * earlier upgrade has left keeps at least its present number of pods, because without them there may be too few pods.
 * The weight `kept` stays a step of its own.
 */
export function sharesOf(
  weights: readonly number[],
  { replicas, left, autoscaled }: Pick<ScaledDeployment, "replicas" | "left" | "autoscaled">,
  kept?: number,
): Share[] {
  const shares = weights.flatMap((weight): Share[] => {
    if (weight === 100) return autoscaled ? [] : [{ weight, canary: replicas, stable: 0 }];
    const canary = Math.max(1, left?.canary ?? 0, Math.round((replicas * weight) / 100));
    if (autoscaled) return [{ weight, canary, stable: replicas }];
    return [{ weight, canary, stable: Math.min(left?.stable ?? replicas, Math.max(1, replicas - canary)) }];
  });
  return shares.filter(
    ({ weight, canary, stable }, index) =>
      weight === kept || !shares.slice(index + 1).some((later) => later.canary === canary && later.stable === stable),
  );
}

export function describeShare({ weight, canary, stable }: Share): string {
  const share = Math.round((100 * canary) / (canary + stable));
  return `${share} % (${canary} of ${canary + stable} pods${share === weight ? "" : `, the nearest to ${weight} %`})`;
}
