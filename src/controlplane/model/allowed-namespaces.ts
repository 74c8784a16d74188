import { matchesLabelSelector } from "../../api/index.ts";
import type { AllowedNamespaces, Listener } from "../../api/gateway/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

export function allowsNamespace(
  listener: Listener,
  route: { readonly namespace: string },
  owner: { readonly namespace: string },
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  return admits(listener.allowedRoutes.namespaces, route.namespace, owner.namespace, inputs, reader);
}

export function admits(
  { from, selector }: AllowedNamespaces,
  namespace: string,
  own: string,
  inputs: MeshInputs,
  reader: CollectionReader,
): boolean {
  switch (from) {
    case "All":
      return true;
    case "Same":
      return namespace === own;
    case "Selector":
      return matchesLabelSelector(selector, {
        ...reader.get(inputs.namespaces, namespace)?.labels,
        "kubernetes.io/metadata.name": namespace,
      });
    default:
      return false;
  }
}
