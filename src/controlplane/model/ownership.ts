import { istioLabels } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { GatewayFacts } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

/** The revision of objects without a revision label. */
const defaultRevision = "default";

/**
 * The revision that owns a Gateway or a route: its label `istio.io/rev`, else its namespace's label, else `default`. A
 * tag is resolved to its revision.
 */
export function owningRevision(
  gateway: Pick<GatewayFacts, "namespace" | "labels">,
  inputs: MeshInputs,
  reader: CollectionReader,
): string {
  const named =
    gateway.labels[istioLabels.revision] ??
    reader.get(inputs.namespaces, gateway.namespace)?.labels[istioLabels.revision] ??
    defaultRevision;
  const [tag] = reader.lookup(
    inputs.tags.index("tag", (candidate) => [candidate.tag]),
    named,
  );
  return tag?.revision ?? named;
}
