import { keyOf, type KubernetesObject } from "../../api/index.ts";
import { canaryKind, kubectlKind, meshUpgradeKind, undoFinalizer } from "../../api/serin/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";

/** A rollout whose changes the engine must undo before the API server can delete the object. */
export interface HeldRollout {
  readonly kind: string;
  readonly metadata: KubernetesObject["metadata"];
}

const shown = 5;
const kinds = [canaryKind, meshUpgradeKind] as const;

export async function heldRollouts(client: KubeClient): Promise<readonly HeldRollout[]> {
  const held: HeldRollout[] = [];
  for (const kind of kinds)
    for (const { metadata } of await listed(client, kind))
      if (metadata.finalizers?.includes(undoFinalizer) === true) held.push({ kind: kind.kind, metadata });
  return held;
}

/** A cluster without the kind has no objects of it. */
async function listed(client: KubeClient, kind: (typeof kinds)[number]): Promise<readonly KubernetesObject[]> {
  try {
    return (await client.list<KubernetesObject>(kind)).items;
  } catch (error) {
    if (isKubeCode(error, "not-found")) return [];
    throw error;
  }
}

export function listedRollouts(held: readonly HeldRollout[]): string {
  return some(held, (rollout) => `${rollout.kind} ${keyOf(rollout)}`, ", ");
}

/** The commands with which a person deletes the rollouts while their engine runs. */
export function undoneBy(held: readonly HeldRollout[]): string {
  return some(held, (rollout) => `kubectl delete ${named(rollout)}`, "; ");
}

/** The command that removes the finalizer of the first one. */
export function withoutUndo([first]: readonly HeldRollout[]): string {
  return first === undefined ? "" : `kubectl patch ${named(first)} --type=merge -p '{"metadata":{"finalizers":null}}'`;
}

function named({ kind, metadata: { name = "", namespace } }: HeldRollout): string {
  return `${kubectlKind(kind)} ${name}${namespace === undefined ? "" : ` -n ${namespace}`}`;
}

function some(held: readonly HeldRollout[], textOf: (rollout: HeldRollout) => string, between: string): string {
  const texts = held.slice(0, shown).map(textOf).join(between);
  return held.length > shown ? `${texts} and ${held.length - shown} more` : texts;
}
