import { defaultValidatorName, istioLabels } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { GatewayFacts } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

/** The revision of objects without a revision label. */
const defaultRevision = "default";

/**
 * The revision that owns a Gateway or a route: its label `istio.io/rev`, else its namespace's label, else the cluster's
 * default. A tag is resolved to its revision. The tag `default` wins over the default validator, which the chart `base`
 * points to its `defaultRevision`.
 */
export function owningRevision(
  gateway: Pick<GatewayFacts, "namespace" | "labels">,
  inputs: MeshInputs,
  reader: CollectionReader,
): string {
  const named =
    gateway.labels[istioLabels.revision] ??
    reader.get(inputs.namespaces, gateway.namespace)?.labels[istioLabels.revision];
  const [tag] = reader.lookup(
    inputs.tags.index("tag", (candidate) => [candidate.tag]),
    named ?? defaultRevision,
  );
  if (tag !== undefined) return tag.revision;
  return named ?? reader.get(inputs.defaultValidators, defaultValidatorName)?.revision ?? defaultRevision;
}
