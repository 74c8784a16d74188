import type { KindDefinition, ManagedFieldsEntry, ObjectMeta } from "../../api/index.ts";
import {
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import { withoutClaim } from "../../api/serin/field-managers/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";

export interface CaBundleControllerOptions {
  readonly client: KubeClient;
  /** This control plane's Service. The controller changes only webhooks that call it. */
  readonly service: { readonly namespace: string; readonly name: string };
  /** The root of the webhooks' certificate, in PEM. */
  readonly root: () => string;
  readonly onRootChange: (changed: () => void) => void;
  /**
   * Why validation is not proven to work yet. If it returns undefined, validation works, and the failure policy can
   * become `Fail`. If the function is absent, failure policies stay unchanged.
   */
  readonly validationDoubt?: (() => Promise<string | undefined>) | undefined;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const fieldManager = "istiod-ca-bundle";
/** How often it is checked whether validation works. */
const doubtRetryMs = 2000;

/** Keeps the CA in the webhooks that call this control plane, so that the API server trusts it. */
export async function runCaBundleController(options: CaBundleControllerOptions, signal: AbortSignal): Promise<void> {
  await Promise.all([
    look(options, validatingWebhookConfigurationKind, signal),
    look(options, mutatingWebhookConfigurationKind, signal),
  ]);
}

async function look(
  options: CaBundleControllerOptions,
  kind: KindDefinition<WebhookConfiguration>,
  signal: AbortSignal,
): Promise<void> {
  const { client, onRootChange, queues, clock, log } = options;
  const informer = createInformer(client, kind, { clock, log });
  const reconciler = new Reconciler({
    name: "ca-bundle",
    queues,
    clock,
    log,
    maxAttempts: Infinity,
    after: [informer.synced],
    reconcile: async (name) => await patch(options, kind, informer, name),
  });
  informer.subscribe((change) => reconciler.add(change.key));
  onRootChange(() => {
    for (const { metadata } of informer.list()) reconciler.add(metadata.name ?? "");
  });
  await Promise.all([informer.run(signal), reconciler.run(signal)]);
}

/** Returns how long to wait before the next check. Undefined means until an object changes. */
async function patch(
  { client, service, root, validationDoubt, log }: CaBundleControllerOptions,
  kind: KindDefinition<WebhookConfiguration>,
  informer: Informer<WebhookConfiguration>,
  name: string,
): Promise<number | undefined> {
  const found = informer.get(name);
  if (found?.webhooks === undefined) return undefined;
  const caBundle = Buffer.from(root()).toString("base64");
  const isOurs = ({ clientConfig }: Webhook): boolean =>
    clientConfig.service?.name === service.name && clientConfig.service.namespace === service.namespace;
  const { resourceVersion, managedFields = [] } = found.metadata;
  const write = async (metadata: ObjectMeta, webhooks?: readonly Webhook[]): Promise<void> => {
    const patch = { metadata: { resourceVersion, ...metadata }, ...(webhooks === undefined ? {} : { webhooks }) };
    await client.patchMerge(kind, name, undefined, patch, { fieldManager });
  };
  if (found.webhooks.some((webhook) => isOurs(webhook) && webhook.clientConfig.caBundle !== caBundle)) {
    // The event of this write's change calls this function again, which then handles the failure policy.
    await write(
      {},
      found.webhooks.map((webhook) =>
        isOurs(webhook) ? { ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } } : webhook,
      ),
    );
    return undefined;
  }
  const isOpen = (webhook: Webhook): boolean => isOurs(webhook) && webhook.failurePolicy !== "Fail";
  if (kind !== validatingWebhookConfigurationKind || validationDoubt === undefined) return undefined;
  if (!found.webhooks.some(isOpen)) {
    const left = withoutPolicyClaims(managedFields, found.webhooks.filter(isOurs));
    if (left !== managedFields) await write({ managedFields: [...left] });
    return undefined;
  }
  const doubt = await validationDoubt();
  if (doubt !== undefined) {
    log.debug("validation does not fail closed yet", { webhooks: name, doubt });
    return doubtRetryMs;
  }
  // The event of this write's change calls this function again, which then handles the claim to the policy.
  await write(
    {},
    found.webhooks.map((webhook) => (isOpen(webhook) ? { ...webhook, failurePolicy: "Fail" } : webhook)),
  );
  log.info("validation works, and fails closed from now on", { webhooks: name });
  return undefined;
}

/**
 * The field managers without this controller's claim to the failure policies. An installation sets these policies to
 * `Ignore` until a control plane sets them to `Fail`. `helm rollback` of Helm 4 sets them to `Ignore` by server-side
 * apply, which the claim would make fail with a conflict. Returns the same list if there is no such claim.
 */
function withoutPolicyClaims(
  managedFields: readonly ManagedFieldsEntry[],
  webhooks: readonly Webhook[],
): readonly ManagedFieldsEntry[] {
  return webhooks.reduce<readonly ManagedFieldsEntry[]>((entries, { name }) => {
    const path = ["f:webhooks", `k:${JSON.stringify({ name })}`, "f:failurePolicy"];
    return withoutClaim(entries, { manager: fieldManager, path }) ?? entries;
  }, managedFields);
}

type Webhook = NonNullable<WebhookConfiguration["webhooks"]>[number];
