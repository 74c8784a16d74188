import { mutatingWebhookConfigurationKind } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { reference, revisionLabel } from "../../plan/index.ts";
import type { PriorValues } from "./prior-values.ts";

const tagLabel = "istio.io/tag";

/** Where each tag led before the upgrade. */
export async function observeTags(client: KubeClient, prior: PriorValues): Promise<Map<string, string>> {
  const { items } = await client.list(mutatingWebhookConfigurationKind, { labelSelector: tagLabel });
  return new Map(
    items.flatMap(({ metadata }) => {
      const { [tagLabel]: tag, [revisionLabel]: revision } = metadata.labels ?? {};
      const object = reference("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", metadata.name ?? "");
      const led = prior.label(object, revisionLabel, revision);
      return tag === undefined || led === undefined ? [] : [[tag, led] as const];
    }),
  );
}
