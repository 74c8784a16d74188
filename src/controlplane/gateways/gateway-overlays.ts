import * as yaml from "yaml";
import type { KubernetesObject } from "../../api/index.ts";
import { horizontalPodAutoscalerKind, podDisruptionBudgetKind, type Deployment } from "../../api/kubernetes/index.ts";
import { isTree, messageOf, userError, type Tree } from "../../base/index.ts";
import { valueForKubernetes } from "../../base/kubernetes-yaml/index.ts";
import { yamlBoundsFault } from "../../base/yaml-bounds/index.ts";
import { underOtherSource } from "../../inject/index.ts";

export const autoscalerKind = horizontalPodAutoscalerKind;
export const disruptionBudgetKind = podDisruptionBudgetKind;

/** The field that identifies an element, for each list. Lists with such a field are merged, and others are replaced. */
const mergeKeys: Readonly<Record<string, string>> = {
  containers: "name",
  initContainers: "name",
  env: "name",
  volumes: "name",
  imagePullSecrets: "name",
  volumeMounts: "mountPath",
  topologySpreadConstraints: "topologyKey",
  hostAliases: "ip",
};

/** Labels by which the control plane recognizes its own objects. */
const ownLabels = /^(gateway\.networking\.k8s\.io|gateway\.istio\.io|istio\.io)\//;

/**
 * Applies the YAML of a parameters ConfigMap to an object, as a strategic merge patch. The object keeps its name,
 * namespace and owner: a user who may write a ConfigMap for a Gateway must not be able to write arbitrary objects with
 * the control plane's permissions.
 */
export function overlaid<Value extends KubernetesObject>(object: Value, text: string | undefined): Value {
  const patch = readOverlay(text, object);
  if (patch === undefined) return object;
  const merged = merge(object as unknown as Tree, patch);
  const { name, namespace, ownerReferences, labels } = object.metadata;
  const mergedMetadata = isTree(merged["metadata"]) ? merged["metadata"] : {};
  const { name: _name, namespace: _namespace, ownerReferences: _owners, ...others } = mergedMetadata;
  const own = Object.fromEntries(
    Object.entries({ name, namespace, ownerReferences }).filter(([, value]) => value !== undefined),
  );
  const allLabels = {
    ...(isTree(mergedMetadata["labels"]) ? mergedMetadata["labels"] : {}),
    ...Object.fromEntries(Object.entries(labels ?? {}).filter(([label]) => ownLabels.test(label))),
  };
  const type = object as unknown as Tree;
  return {
    ...merged,
    apiVersion: type["apiVersion"],
    kind: type["kind"],
    metadata: { ...others, ...own, ...(Object.keys(allLabels).length === 0 ? {} : { labels: allLabels }) },
  } as unknown as Value;
}

export function scalerOf(deployment: Deployment, text: string | undefined): readonly KubernetesObject[] {
  const scaleTargetRef = { apiVersion: "apps/v1", kind: "Deployment", name: deployment.metadata.name ?? "" };
  return besideDeployment(
    deployment,
    { apiVersion: "autoscaling/v2", kind: "HorizontalPodAutoscaler" },
    { scaleTargetRef, maxReplicas: 1 },
    text,
  );
}

export function budgetOf(deployment: Deployment, text: string | undefined): readonly KubernetesObject[] {
  return besideDeployment(
    deployment,
    { apiVersion: "policy/v1", kind: "PodDisruptionBudget" },
    { selector: deployment.spec?.selector },
    text,
  );
}

function besideDeployment(
  { metadata: { name, namespace, labels, ownerReferences } }: Deployment,
  type: { readonly apiVersion: string; readonly kind: string },
  spec: Tree,
  text: string | undefined,
): readonly KubernetesObject[] {
  if (text === undefined) return [];
  const metadata = Object.fromEntries(
    Object.entries({ name, namespace, labels, ownerReferences }).filter(([, value]) => value !== undefined),
  );
  return [overlaid({ ...type, metadata, spec } as KubernetesObject, text)];
}

function readOverlay(text: string | undefined, { kind = "" }: KubernetesObject): Tree | undefined {
  if (text === undefined || text.trim() === "") return undefined;
  const hint = "the value must be YAML of an object of that kind, with only the fields to change";
  const fault = yamlBoundsFault(text);
  if (fault !== undefined)
    throw userError("gateway-parameters", `the parameters of a Gateway for its ${kind} ${fault}`, { hint });
  try {
    const value: unknown = valueForKubernetes(yaml, text);
    if (isTree(value)) return value;
  } catch (error) {
    throw userError(
      "gateway-parameters",
      `the parameters of a Gateway for its ${kind} are not valid YAML: ${messageOf(error)}`,
      { hint },
    );
  }
  throw userError("gateway-parameters", `the parameters of a Gateway for its ${kind} are not an object`, { hint });
}

/** Merges the patch into the base. Null removes a field. */
function merge(base: Tree, patch: Tree): Tree {
  const result: Record<string, unknown> = { ...base };
  for (const [field, value] of Object.entries(patch)) {
    const before = base[field];
    if (value === null) delete result[field];
    else if (isTree(value) && isTree(before)) result[field] = merge(before, value);
    else if (Array.isArray(value) && Array.isArray(before)) result[field] = mergeLists(before, value, field);
    else result[field] = value;
  }
  return result;
}

function mergeLists(base: readonly unknown[], patch: readonly unknown[], field: string): readonly unknown[] {
  const key = mergeKeys[field];
  if (key === undefined || ![...base, ...patch].every((element) => isTree(element) && element[key] !== undefined))
    return patch;
  const elements = new Map((base as readonly Tree[]).map((element) => [element[key], element]));
  for (const element of patch as readonly Tree[]) {
    const { $patch: directive, ...fields } = element;
    const known = elements.get(element[key]) ?? {};
    if (directive === "delete") elements.delete(element[key]);
    else
      elements.set(
        element[key],
        merge(field === "volumes" ? (underOtherSource(known, fields) as Tree) : known, fields),
      );
  }
  return [...elements.values()];
}
