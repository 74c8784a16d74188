import { apiVersionOf, type KindDefinition, type KubernetesObject, type OwnerReference } from "../api/index.ts";
import { invariant, withArticle } from "../base/index.ts";

/**
 * A reference to the controller that owns an object. The garbage collector deletes the object together with the owner.
 */
export function ownerReference(kind: KindDefinition, owner: KubernetesObject): OwnerReference {
  const { name, uid } = owner.metadata;
  invariant(
    name !== undefined && uid !== undefined,
    `an owner must be an object that exists on the server, got ${withArticle(kind.kind)} without name or uid`,
  );
  return { apiVersion: apiVersionOf(kind), kind: kind.kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** The reference to the object's controller, if it has one. */
export function controllerOf(object: KubernetesObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}
