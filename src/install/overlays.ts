import * as yaml from "yaml";
import { isTree } from "../base/index.ts";
import { valueForKubernetes } from "../base/kubernetes-yaml/index.ts";
import type { FieldIssue, UntypedObject } from "../api/index.ts";
import { istioLabels, type KubernetesSettings } from "../api/istio/index.ts";
import { parseFieldPath, setAtPath } from "./field-path.ts";

/**
 * Applies a component's `k8s.overlays` to its rendered objects. An overlay may use an object's name without the
 * revision, as in Istio.
 */
export function applyOverlays(
  objects: readonly UntypedObject[],
  k8s: KubernetesSettings | undefined,
): { readonly objects: UntypedObject[]; readonly errors: FieldIssue[] } {
  const errors: FieldIssue[] = [];
  const patched = [...objects];
  for (const [index, overlay] of (k8s?.overlays ?? []).entries()) {
    const at = patched.findIndex(({ kind, metadata: { name, labels } }) => {
      return (
        kind === overlay.kind && (name === overlay.name || name === `${overlay.name}-${labels?.[istioLabels.revision]}`)
      );
    });
    const found = patched[at];
    if (found === undefined) {
      const rendered = patched.map((candidate) => `${candidate.kind}/${candidate.metadata.name}`).join(", ");
      errors.push({
        path: `k8s.overlays[${index}]`,
        message: `this component has no ${overlay.kind} "${overlay.name}"; it renders ${rendered}`,
      });
      continue;
    }
    patched[at] = overlay.patches.reduce(
      (object, patch) => setAtPath(object, parseFieldPath(patch.path), valueOf(patch.value)) as UntypedObject,
      found,
    );
  }
  return { objects: patched, errors };
}

/** Parses an overlay's value. As in istioctl, a string that is a YAML map becomes that map, but JSON stays a string. */
function valueOf(value: unknown): unknown {
  if (typeof value !== "string" || !/: |:[^]*\n|\n[^]*:/.test(value) || /^\s*\{/.test(value)) return value;
  try {
    const parsed: unknown = valueForKubernetes(yaml, value);
    return isTree(parsed) ? parsed : value;
  } catch {
    return value;
  }
}
