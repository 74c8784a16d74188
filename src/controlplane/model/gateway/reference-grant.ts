import type { CollectionReader } from "../../../kube/index.ts";
import { gatewayGroup } from "../../../api/gateway/index.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

export interface Reference {
  readonly from: { readonly kind: string; readonly namespace: string };
  readonly to: { readonly kind: "Service" | "Secret" | "ConfigMap"; readonly namespace: string; readonly name: string };
}

/** A reference within one namespace is always allowed. One to another namespace needs a ReferenceGrant there. */
export function isGranted({ from, to }: Reference, { referenceGrants }: MeshInputs, reader: CollectionReader): boolean {
  if (from.namespace === to.namespace) return true;
  const grants = referenceGrants.index("namespace", (grant) => [grant.namespace]);
  return reader
    .lookup(grants, to.namespace)
    .some(
      ({ spec }) =>
        spec.from.some(
          (entry) => entry.group === gatewayGroup && entry.kind === from.kind && entry.namespace === from.namespace,
        ) &&
        spec.to.some(
          (entry) =>
            entry.group === "" &&
            entry.kind === to.kind &&
            (entry.name === undefined || entry.name === "" || entry.name === to.name),
        ),
    );
}
