import { keyOf, type KindDefinition, type KubernetesObject } from "../../api/index.ts";
import { canaryKind, hasUndoFinalizer, kubectlObject, meshUpgradeKind } from "../../api/serin/index.ts";
import { itemsIfServed, type KubeClient } from "../../kube/index.ts";

/**
 * A rollout whose object has a finalizer of the engine, which must undo its changes before the API server can delete
 * the object.
 */
export interface HeldRollout {
  readonly kind: string;
  readonly metadata: KubernetesObject["metadata"];
}

const shown = 5;
const kinds = [canaryKind, meshUpgradeKind] as readonly KindDefinition[];

export async function heldRollouts(client: KubeClient): Promise<readonly HeldRollout[]> {
  const held: HeldRollout[] = [];
  for (const kind of kinds)
    for (const object of await itemsIfServed(client.list(kind)))
      if (hasUndoFinalizer(object)) held.push({ kind: kind.kind, metadata: object.metadata });
  return held;
}

export function listedRollouts(held: readonly HeldRollout[]): string {
  return some(held, (rollout) => `${rollout.kind} ${keyOf(rollout)}`, ", ");
}

/** The commands that delete the rollouts. They work while the engine runs. */
export function undoneBy(held: readonly HeldRollout[]): string {
  return some(held, (rollout) => `kubectl delete ${named(rollout)}`, "; ");
}

/** The command that removes the first rollout's finalizer, so that it can be deleted without an undo. */
export function withoutUndo([first]: readonly HeldRollout[]): string {
  return first === undefined ? "" : `kubectl patch ${named(first)} --type=merge -p '{"metadata":{"finalizers":null}}'`;
}

function named({ kind, metadata }: HeldRollout): string {
  return kubectlObject(kind, metadata);
}

function some(held: readonly HeldRollout[], textOf: (rollout: HeldRollout) => string, between: string): string {
  const texts = held.slice(0, shown).map(textOf).join(between);
  return held.length > shown ? `${texts} and ${held.length - shown} more` : texts;
}
