import type { KubernetesObject, UntypedObject } from "../../api/index.ts";
import { istioAnnotations, istioLabels } from "../../api/istio/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { controllerOf, isKubeCode, type KubeClient } from "../../kube/index.ts";
import { ObjectAccess } from "../act/object-access.ts";
import { referenceKey } from "../decide/index.ts";
import { reference } from "../plan/index.ts";

const { owningResource: ownerLabel, owningResourceNamespace: ownerNamespaceLabel } = istioLabels;

/**
 * The operator's object (such as an IstioOperator) from which an operator writes the given object. The operator would
 * undo changes that others make to the given object. Undefined if no operator acts on it.
 */
export type OperatorObjectOf = (object: Pick<KubernetesObject, "metadata">) => ObjectReference | undefined;

/**
 * Reads the IstioOperators that these objects' labels name, and returns a function that ignores those without an acting
 * operator. istioctl writes the same labels as an operator, but then the named IstioOperator does not exist, or tells
 * operators to ignore it.
 */
export async function readOperators(
  client: KubeClient,
  installed: readonly Pick<KubernetesObject, "metadata">[],
): Promise<OperatorObjectOf> {
  const objects = new ObjectAccess(client);
  const named = installed.flatMap((object) => namedOperator(object) ?? []);
  const operators = new Map(named.map((operator) => [referenceKey(operator), operator]));
  const isIgnored = await Promise.all(
    [...operators.values()].map(async (operator) => await ignores(objects, operator)),
  );
  const ignored = new Set([...operators.keys()].filter((_key, index) => isIgnored[index]));
  return (object) => {
    const found = operatorObjectOf(object);
    return found === undefined || !ignored.has(referenceKey(found)) ? found : undefined;
  };
}

/**
 * Whether no operator acts on the IstioOperator. If the user who plans an upgrade may not read it, the plan assumes
 * that an operator does.
 */
async function ignores(objects: ObjectAccess, operator: ObjectReference): Promise<boolean> {
  try {
    const found = await objects.get(operator);
    return found === undefined || found.metadata.annotations?.[istioAnnotations.ignoreReconcile] === "true";
  } catch (error) {
    if (isKubeCode(error, "forbidden")) return false;
    throw error;
  }
}

function namedOperator({ metadata: { labels = {} } }: Pick<KubernetesObject, "metadata">): ObjectReference | undefined {
  const [name, namespace] = [labels[ownerLabel], labels[ownerNamespaceLabel]];
  return name === undefined || namespace === undefined
    ? undefined
    : reference("install.istio.io/v1alpha1", "IstioOperator", name, namespace);
}

/**
 * The IstioOperator or controller that an object's metadata names, whether or not an operator acts on it. See {@link
 * readOperators}.
 */
export function operatorObjectOf(object: Pick<KubernetesObject, "metadata">): ObjectReference | undefined {
  const operator = namedOperator(object);
  if (operator !== undefined) return operator;
  const owner = controllerOf(object);
  return owner === undefined
    ? undefined
    : reference(owner.apiVersion, owner.kind, owner.name, object.metadata.namespace);
}

/**
 * Whether an operator made the workload from this object of an operator, and not from an earlier object with its name,
 * whose workloads the garbage collector will soon delete.
 */
export function isMadeBy(
  workload: Pick<KubernetesObject, "metadata">,
  object: ObjectReference,
  operator: UntypedObject | undefined,
): boolean {
  const owner = operatorObjectOf(workload);
  if (owner === undefined || referenceKey(owner) !== referenceKey(object)) return false;
  const { uid = operator?.metadata.uid } = controllerOf(workload) ?? {};
  return uid === operator?.metadata.uid;
}
