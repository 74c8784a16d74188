import { matchesLabels } from "../../../api/index.ts";
import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import type { Labels, PodFacts } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";

/** The pods by each of their labels, for {@link podsSelectedBy}. */
export function podsByLabel(inputs: MeshInputs): CollectionIndex<PodFacts> {
  return inputs.pods.index("label", podLabelKeys);
}

/** The keys of a pod in an index by labels: `namespace/label=value` for each of its labels. */
export function podLabelKeys(pod: PodFacts): readonly string[] {
  return Object.entries(pod.labels).map(([key, value]) => `${pod.namespace}/${key}=${value}`);
}

/** The pods of a namespace that a selector matches. An empty selector matches none. */
export function podsSelectedBy(
  pods: CollectionIndex<PodFacts>,
  namespace: string,
  selector: Labels,
  reader: CollectionReader,
): readonly PodFacts[] {
  const first = Object.keys(selector).sort()[0];
  if (first === undefined) return [];
  return reader
    .lookup(pods, `${namespace}/${first}=${selector[first] ?? ""}`)
    .filter((pod) => matchesLabels(selector, pod.labels));
}
