import type { KindDefinition, KubernetesObject, OwnerReference } from "../../../api/index.ts";

export interface GraphNode {
  readonly kind: KindDefinition;
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly owners: readonly OwnerReference[];
  readonly finalizers: readonly string[];
  readonly terminating: boolean;
}

/** All objects by uid, with their owners and dependents. */
export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  set(node: GraphNode): void {
    this.remove(node.uid);
    this.#nodes.set(node.uid, node);
    for (const { uid } of node.owners) {
      let dependents = this.#dependents.get(uid);
      if (dependents === undefined) this.#dependents.set(uid, (dependents = new Set()));
      dependents.add(node.uid);
    }
  }

  remove(uid: string): void {
    for (const owner of this.#nodes.get(uid)?.owners ?? []) {
      const dependents = this.#dependents.get(owner.uid);
      dependents?.delete(uid);
      if (dependents?.size === 0) this.#dependents.delete(owner.uid);
    }
    this.#nodes.delete(uid);
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);
  }
}

export function graphNodeOf(kind: KindDefinition, object: KubernetesObject): GraphNode {
  const {
    uid = "",
    name = "",
    namespace = "",
    ownerReferences = [],
    finalizers = [],
    deletionTimestamp,
  } = object.metadata;
  return {
    kind,
    uid,
    name,
    namespace,
    owners: ownerReferences,
    finalizers,
    terminating: deletionTimestamp !== undefined,
  };
}

export type CollectorAction =
  | { readonly type: "none" }
  /** Delete the object, because all its owners are gone, or because an owner in foreground deletion waits for it. */
  | {
      readonly type: "delete";
      readonly policy: "Background" | "Foreground" | "Orphan" | undefined;
      /**
       * Owner references to change first, so that they no longer block the owner's deletion. Set if the object is in a
       * circle of owners.
       */
      readonly unblock?: readonly OwnerReference[];
    }
  /** Only remove the references to owners that are gone, because other owners still exist. */
  | { readonly type: "release"; readonly keep: readonly OwnerReference[] }
  | { readonly type: "finalize"; readonly finalizers: readonly string[] };

export const foregroundFinalizer = "foregroundDeletion";
export const orphanFinalizer = "orphan";

/**
 * Decides what to do with an object, by its existing owners. `ownerOf` may return undefined only if the owner certainly
 * does not exist.
 */
export function decideCollection(
  node: GraphNode,
  graph: OwnerGraph,
  ownerOf: (reference: OwnerReference) => GraphNode | undefined,
): CollectorAction {
  if (node.terminating) {
    if (
      node.finalizers.includes(foregroundFinalizer) &&
      !graph.dependentsOf(node.uid).some((dependent) => blocks(dependent, node.uid))
    ) {
      return { type: "finalize", finalizers: node.finalizers.filter((finalizer) => finalizer !== foregroundFinalizer) };
    }
    if (node.finalizers.includes(orphanFinalizer) && graph.dependentsOf(node.uid).length === 0) {
      return { type: "finalize", finalizers: node.finalizers.filter((finalizer) => finalizer !== orphanFinalizer) };
    }
    return { type: "none" };
  }
  if (node.owners.length === 0) return { type: "none" };
  const present = node.owners.filter((reference) => ownerOf(reference) !== undefined);
  const orphaning = present.filter((reference) => isOrphaning(ownerOf(reference)));
  if (orphaning.length > 0)
    return { type: "release", keep: node.owners.filter((reference) => !orphaning.includes(reference)) };
  const solid = present.filter((reference) => !isWaiting(ownerOf(reference)));
  if (solid.length === node.owners.length) return { type: "none" };
  if (solid.length > 0) return { type: "release", keep: solid };
  const waiting = present.some((reference) => isWaiting(ownerOf(reference)));
  if (waiting) return deleteForOwner(node, graph.dependentsOf(node.uid));
  // The object's own finalizer decides how its dependents are deleted.
  const policy = node.finalizers.includes(orphanFinalizer)
    ? "Orphan"
    : node.finalizers.includes(foregroundFinalizer)
      ? "Foreground"
      : "Background";
  return { type: "delete", policy };
}

/**
 * The deletion of an object whose owner waits for it. If a dependent of the object also waits for its own dependents,
 * the two deletions could wait for each other. So the object's references first become non-blocking.
 */
function deleteForOwner(node: GraphNode, dependents: readonly GraphNode[]): CollectorAction {
  if (dependents.length === 0) return { type: "delete", policy: "Background" };
  if (!dependents.some(isWaiting)) return { type: "delete", policy: "Foreground" };
  const unblock = node.owners.map((reference) => ({ ...reference, blockOwnerDeletion: false }));
  return { type: "delete", policy: "Foreground", unblock };
}

/** Whether an object may be the owner of another. The owner must be cluster-scoped or in the same namespace. */
export function isInReach(owner: GraphNode, node: GraphNode): boolean {
  return !owner.kind.namespaced || owner.namespace === node.namespace;
}

function blocks(dependent: GraphNode, ownerUid: string): boolean {
  return dependent.owners.some(({ uid, blockOwnerDeletion }) => uid === ownerUid && blockOwnerDeletion === true);
}

/** Whether the owner is in foreground deletion. Its dependents must then be deleted as if it were gone. */
function isWaiting(owner: GraphNode | undefined): boolean {
  return owner?.terminating === true && owner.finalizers.includes(foregroundFinalizer);
}

function isOrphaning(owner: GraphNode | undefined): boolean {
  return owner?.terminating === true && owner.finalizers.includes(orphanFinalizer);
}
