import { matchesLabels, type UntypedObject } from "../api/index.ts";
import { convertRollout } from "./argo-rollout.ts";
import { objectName, type Conversion, type ConversionNote } from "./conversion.ts";
import { convertFlaggerCanary } from "./flagger.ts";

const supporting: readonly string[] = [
  "AnalysisTemplate",
  "ClusterAnalysisTemplate",
  "MetricTemplate",
  "AlertProvider",
];

/**
 * Converts Rollouts of Argo Rollouts with their AnalysisTemplates, and Canaries of Flagger with their MetricTemplates,
 * to Canaries and Checks that do the same. The notes list everything that was dropped or changed.
 */
export function convertRollouts(objects: readonly UntypedObject[]): Conversion {
  const made: UntypedObject[] = [];
  const notes: ConversionNote[] = [];
  for (const object of objects) {
    const conversion = convertOne(object, objects);
    if (conversion === undefined) {
      if (!isSupporting(object))
        notes.push({
          object: objectName(object),
          path: "kind",
          message:
            "is not carried over: the conversion supports Rollout of Argo Rollouts and Canary of Flagger, with their templates",
        });
      continue;
    }
    made.push(...conversion.objects);
    notes.push(...conversion.notes);
  }
  return { objects: made, notes };
}

function convertOne(object: UntypedObject, all: readonly UntypedObject[]): Conversion | undefined {
  const group = (object.apiVersion ?? "").split("/")[0];
  const { namespace } = object.metadata;
  const find = (kind: string, name: string, where: string | undefined): UntypedObject | undefined =>
    all.find(
      (candidate) =>
        candidate.kind === kind &&
        candidate.metadata.name === name &&
        (where === undefined || candidate.metadata.namespace === undefined || candidate.metadata.namespace === where),
    );
  if (group === "argoproj.io" && object.kind === "Rollout") {
    return convertRollout(object, {
      template: (name, clusterScope) =>
        find(clusterScope ? "ClusterAnalysisTemplate" : "AnalysisTemplate", name, clusterScope ? undefined : namespace),
      servicesOf: (labels) =>
        all.flatMap((candidate) => (selects(candidate, labels, namespace) ? (candidate.metadata.name ?? []) : [])),
    });
  }
  return group === "flagger.app" && object.kind === "Canary" ? convertFlaggerCanary(object, find) : undefined;
}

/** Whether the object is a Service in the namespace that selects pods with these labels. */
function selects(
  { kind, apiVersion, metadata, spec }: UntypedObject,
  labels: Readonly<Record<string, unknown>>,
  namespace: string | undefined,
): boolean {
  if (kind !== "Service" || apiVersion !== "v1") return false;
  if (metadata.namespace !== undefined && namespace !== undefined && metadata.namespace !== namespace) return false;
  const { selector } = (spec ?? {}) as { readonly selector?: Readonly<Record<string, string>> };
  return matchesLabels(selector, labels as Readonly<Record<string, string>>);
}

function isSupporting({ kind = "", apiVersion = "" }: UntypedObject): boolean {
  return supporting.includes(kind) && /^(argoproj\.io|flagger\.app)\//.test(apiVersion);
}
