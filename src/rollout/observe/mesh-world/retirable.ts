import { textAt } from "../../../base/index.ts";
import type { KindDefinition, KubernetesObject, UntypedObject } from "../../../api/index.ts";
import { istioLabels } from "../../../api/istio/index.ts";
import type { JournalEntry, MeshUpgrade, ObjectReference } from "../../../api/serin/index.ts";
import { controllerOf, type KubeClient } from "../../../kube/index.ts";
import { ObjectAccess } from "../../act/object-access.ts";
import { isOfBanzai, operatedParts, partTitled, referenceKey, type OperatedPart } from "../../decide/index.ts";
import { referenceTo, retireStepId, type MeshWorld } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { operatorObjectOf, readOperators } from "../operator-objects.ts";
import { controlPlaneDeployments, controlPlaneRevision } from "../pilot-answers.ts";

const titles = Object.values(operatedParts).map(({ title }) => title);

/**
 * What the retirement of a revision deletes, and the objects of operators that it changes instead. Listing all kinds
 * takes most requests of this observation, so before the step that retires the revision, the lists are kept for a
 * while.
 */
export async function observeRetirable(
  client: KubeClient,
  view: ClusterView,
  kinds: readonly KindDefinition[],
  { metadata, spec, status }: MeshUpgrade,
  journal: readonly JournalEntry[],
): Promise<Pick<MeshWorld, "retirable" | "owners" | "retiredFrom">> {
  const { revision } = spec.from;
  const labelSelector = `${istioLabels.revision}=${revision},${istioLabels.component} in (${titles.join(",")}),!${istioLabels.tag}`;
  const list = async () =>
    await Promise.all(kinds.map(async (kind) => (await client.list(kind, { labelSelector })).items.filter(isOwn)));
  // The key contains the number of finished steps, so that each step sees lists of its own.
  const key = `retirable ${metadata.uid ?? ""} ${revision} ${status?.completedSteps.length ?? 0}`;
  const lists = status?.step?.id === retireStepId ? await list() : await view.keptLonger(key, list);
  // Banzai's operator does not label the components that it installs, so its control planes are found by their
  // Deployments.
  const controlPlanes = controlPlaneDeployments(view)
    .filter((deployment) => controlPlaneRevision(deployment) === revision)
    .filter((deployment) => {
      const owner = operatorObjectOf(deployment);
      return owner !== undefined && isOfBanzai(owner);
    });
  const free: ObjectReference[] = [];
  const owners = new Map<string, { readonly object: ObjectReference; readonly components: Set<OperatedPart> }>();
  const retired = [...lists.flat(), ...controlPlanes] as unknown as readonly UntypedObject[];
  const operatorOf = await readOperators(client, retired);
  for (const found of retired) {
    const owner = operatorOf(found);
    if (owner === undefined || (owner.kind !== "IstioOperator" && !isOfBanzai(owner))) {
      free.push(referenceTo(found));
      continue;
    }
    const key = referenceKey(owner);
    const known = owners.get(key) ?? { object: owner, components: new Set() };
    owners.set(key, known);
    const part = partTitled(found.metadata.labels?.[istioLabels.component] ?? "");
    if (part !== undefined) known.components.add(part);
  }
  return {
    retirable: free,
    retiredFrom: [
      ...new Set([...namespacesOf(retired.map(referenceTo)), ...(await namespacesBefore(client, journal))]),
    ].toSorted(),
    owners: [...owners.values()].map(({ object, components }) =>
      object.kind === "IstioOperator" ? { object, components: [...components].toSorted() } : { object },
    ),
  };
}

/**
 * Whether the object belongs to the installation. An EndpointSlice that Kubernetes has made for a Service, with the
 * Service's labels, does not: Kubernetes deletes it with the Service. If the journal contained it, an undo would create
 * it again, and requests would go to pods that have ended.
 */
function isOwn({ metadata }: KubernetesObject): boolean {
  const { kind, apiVersion } = controllerOf({ metadata }) ?? {};
  return kind !== "Service" || apiVersion !== "v1";
}

/**
 * The namespaces from which the retirement has removed objects so far. The journal does not list the objects that an
 * operator has removed. Those were in the namespace that the IstioOperator names, or in the namespace of the deleted
 * object of Banzai's operator.
 */
async function namespacesBefore(client: KubeClient, journal: readonly JournalEntry[]): Promise<readonly string[]> {
  const entries = journal.filter(({ step }) => step === retireStepId);
  const deleted = entries.flatMap(({ type, object }) => (type === "deleted" ? [object] : []));
  const operators = new Map(
    entries.flatMap(({ type, object }) =>
      type === "field" && object.kind === "IstioOperator" ? [[referenceKey(object), object] as const] : [],
    ),
  );
  const objects = new ObjectAccess(client);
  const found = await Promise.all([...operators.values()].map(async (object) => await objects.get(object)));
  return [
    ...namespacesOf(deleted),
    ...deleted.flatMap((object) => (isOfBanzai(object) ? (object.namespace ?? []) : [])),
    ...found.flatMap((operator) => {
      const spec = operator?.["spec"];
      return textAt(spec, "namespace") ?? textAt(spec, "values", "global", "istioNamespace") ?? [];
    }),
  ];
}

function namespacesOf(objects: readonly ObjectReference[]): readonly string[] {
  return objects.flatMap(({ kind, namespace }) =>
    namespace !== undefined && (kind === "Deployment" || kind === "DaemonSet") ? [namespace] : [],
  );
}
