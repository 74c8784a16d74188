import { defaultValidatorName, istioLabels, resolveRevision } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { GatewayFacts } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

/**
 * The revision that owns a Gateway or a route. If no label names one, it is the revision of the tag `default`, or else
 * that of the default validator, which the chart `base` points to its `defaultRevision`.
 */
export function owningRevision(
  gateway: Pick<GatewayFacts, "namespace" | "labels">,
  inputs: MeshInputs,
  reader: CollectionReader,
): string {
  const labels = {
    own: gateway.labels[istioLabels.revision],
    namespace: reader.get(inputs.namespaces, gateway.namespace)?.labels[istioLabels.revision],
  };
  const isNamed = labels.own !== undefined || labels.namespace !== undefined;
  const byTag = inputs.tags.index("tag", (candidate) => [candidate.tag]);
  return resolveRevision(labels, (name) => {
    const [tag] = reader.lookup(byTag, name);
    return (
      tag?.revision ?? (isNamed ? undefined : reader.get(inputs.defaultValidators, defaultValidatorName)?.revision)
    );
  });
}
