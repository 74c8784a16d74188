import { matchesLabelSelector } from "../../../api/index.ts";
import type { EntryVisibility } from "../../../api/istio/index.ts";
import type { CollectionReader } from "../../../kube/index.ts";
import { meshKey, type Labels, type MeshSettings } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

type Settings = Pick<MeshSettings, "serviceEntryVisibility">;

/**
 * How far a namespace's ServiceEntries are visible. The first policy of the mesh config whose selectors match the
 * namespace's labels decides.
 */
export function entryVisibility({ serviceEntryVisibility: set }: Settings, labels: Labels): EntryVisibility {
  if (set === undefined) return "PUBLIC";
  const matching = set.policies.find(({ namespaceSelectors }) =>
    namespaceSelectors.every((selector) => selector !== undefined && matchesLabelSelector(selector, labels)),
  );
  return matching?.visibility ?? set.defaultVisibility;
}

export function entryVisibilityOf(namespace: string, inputs: MeshInputs, reader: CollectionReader): EntryVisibility {
  const mesh = reader.get(inputs.mesh, meshKey);
  if (mesh?.serviceEntryVisibility === undefined) return "PUBLIC";
  return entryVisibility(mesh, reader.get(inputs.namespaces, namespace)?.labels ?? {});
}

/** A ServiceEntry's `exportTo` for sidecars and gateways. The mesh config's visibility can only narrow it. */
export function narrowedExport(
  exportTo: readonly string[],
  namespace: string,
  visibility: EntryVisibility,
): readonly string[] {
  if (visibility === "PUBLIC") return exportTo;
  const reachesOwn = ["*", ".", namespace].some((name) => exportTo.includes(name));
  return visibility === "NAMESPACE" && reachesOwn ? ["."] : ["~"];
}
