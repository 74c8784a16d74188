import { randomBytes } from "node:crypto";
import { daemonSetKind, secretKind, validatingWebhookConfigurationKind } from "../../../api/kubernetes/index.ts";
import { isKubeCode } from "../../../kube/index.ts";
import { enqueueOn, type ControllerContext } from "../controller.ts";

const configurationName = "metallb-webhook-configuration";

const namespace = "metallb-system";
/** The Secret that MetalLB's controller creates and that its speakers mount. */
const memberSecretName = "memberlist";
const memberKeyBytes = 128;

/** Does what MetalLB's controller would do for the pods and webhooks of its own manifest. */
export function addMetalLbInstallation(context: ControllerContext): void {
  addWebhookRelief(context);
  addMemberSecret(context);
}

/**
 * Makes the webhooks of MetalLB's manifest ignore failures. In the lab, this process does the work of MetalLB's
 * controller, and the controller's image is replaced by an idle program. So no process answers these webhooks.
 */
function addWebhookRelief(context: ControllerContext): void {
  const configurations = context.view(validatingWebhookConfigurationKind);
  const queue = context.queue("metallb-webhook", async (name) => {
    const configuration = configurations.at(name);
    if (name !== configurationName || configuration === undefined) return;
    const webhooks = configuration.webhooks ?? [];
    if (webhooks.every(({ failurePolicy, timeoutSeconds }) => failurePolicy === "Ignore" && timeoutSeconds === 1))
      return;
    const patch = {
      metadata: { resourceVersion: configuration.metadata.resourceVersion },
      webhooks: webhooks.map((webhook) => ({ ...webhook, failurePolicy: "Ignore", timeoutSeconds: 1 })),
    };
    await context.client.patchMerge(validatingWebhookConfigurationKind, name, undefined, patch);
    context.log.info("MetalLB's webhooks may fail now: pools are handled here", { configuration: name });
  });
  enqueueOn(configurations, queue);
}

function addMemberSecret(context: ControllerContext): void {
  const daemonSets = context.view(daemonSetKind);
  const queue = context.queue("metallb-members", async (key) => {
    const volumes = daemonSets.at(key)?.spec?.template.spec?.volumes ?? [];
    if (!volumes.some(({ secret }) => secret?.secretName === memberSecretName)) return;
    try {
      await context.client.create(secretKind, {
        metadata: { name: memberSecretName, namespace },
        type: "Opaque",
        data: { secretkey: randomBytes(memberKeyBytes).toString("base64") },
      });
    } catch (error) {
      if (!isKubeCode(error, "already-exists")) throw error;
    }
  });
  daemonSets.onChange(({ key, object }) => {
    if (object.metadata.namespace === namespace) queue.add(key);
  });
}
