import type { CollectionIndex, CollectionReader } from "../../../kube/index.ts";
import type { Labels, PodFacts } from "../facts.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { labelKeys, selectedBy } from "../selection.ts";

export function podsByLabel(inputs: MeshInputs): CollectionIndex<PodFacts> {
  return inputs.pods.index("label", podLabelKeys);
}

export function podLabelKeys({ namespace, labels }: PodFacts): readonly string[] {
  return labelKeys(namespace, labels);
}

/** The pods that a selector matches. An empty selector matches none. */
export function podsSelectedBy(
  pods: CollectionIndex<PodFacts>,
  namespace: string,
  selector: Labels,
  reader: CollectionReader,
): readonly PodFacts[] {
  return selectedBy(pods, namespace, selector, ({ labels }) => labels, reader);
}
