import { defaultValidatorName, istioLabels } from "../../api/istio/index.ts";
import type { WebhookConfiguration } from "../../api/kubernetes/index.ts";
import type { TagFacts } from "../model/facts.ts";

export function tagFacts({ metadata }: WebhookConfiguration): TagFacts | undefined {
  const tag = metadata.labels?.[istioLabels.tag];
  const revision = metadata.labels?.[istioLabels.revision];
  return tag === undefined || revision === undefined ? undefined : { tag, revision };
}

export function defaultValidatorFacts({ metadata }: WebhookConfiguration): Pick<TagFacts, "revision"> | undefined {
  const revision = metadata.labels?.[istioLabels.revision];
  return metadata.name !== defaultValidatorName || revision === undefined ? undefined : { revision };
}
