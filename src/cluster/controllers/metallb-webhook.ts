import { validatingWebhookConfigurationKind } from "../../api/kubernetes/index.ts";
import { enqueueOn, type ControllerContext } from "./controller.ts";

const configurationName = "metallb-webhook-configuration";

/**
 * MetalLB's own manifest brings webhooks that its controller would answer. Here this process does that controller's
 * work, and its image is an idle program: a webhook that cannot be asked must not refuse pools.
 */
export function addMetalLbWebhookRelief(context: ControllerContext): void {
  const configurations = context.view(validatingWebhookConfigurationKind);
  const queue = context.queue("metallb-webhook", async (name) => {
    const configuration = configurations.at(name);
    if (name !== configurationName || configuration === undefined) return;
    const webhooks = configuration.webhooks ?? [];
    if (webhooks.every(({ failurePolicy, timeoutSeconds }) => failurePolicy === "Ignore" && timeoutSeconds === 1)) return;
    const patch = { metadata: { resourceVersion: configuration.metadata.resourceVersion }, webhooks: webhooks.map((webhook) => ({ ...webhook, failurePolicy: "Ignore", timeoutSeconds: 1 })) };
    await context.client.patchMerge(validatingWebhookConfigurationKind, name, undefined, patch);
    context.log.info("MetalLB's webhooks may fail now: pools are handled here", { configuration: name });
  });
  enqueueOn(configurations, queue);
}
