import type { KindDefinition } from "../../api/index.ts";
import {
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Informer, type KubeClient, type QueueMetrics } from "../../kube/index.ts";

export interface CaBundleControllerOptions {
  readonly client: KubeClient;
  /** This control plane's Service: webhooks that lead to it are looked after. */
  readonly service: { readonly namespace: string; readonly name: string };
  /** PEM. */
  readonly root: () => string;
  /** Calls whenever the root is another one. */
  readonly onRootChange: (changed: () => void) => void;
  /** Why our validation is not shown to work yet (undefined: it is), so that what it cannot be asked about may be refused; absent: failure policies are left alone. */
  readonly validationDoubt?: (() => Promise<string | undefined>) | undefined;
  readonly queues?: QueueMetrics | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const fieldManager = "istiod-ca-bundle";
/** Until validation is shown to work. */
const doubtRetryMs = 2000;

/** Keeps the CA of webhooks that lead to this control plane, so that the API server trusts it. */
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

/** Answers when to look again; undefined: when something changes. */
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
  const write = async (webhooks: readonly Webhook[]): Promise<void> => {
    await client.patchMerge(
      kind,
      name,
      undefined,
      { metadata: { resourceVersion: found.metadata.resourceVersion }, webhooks },
      { fieldManager },
    );
  };
  if (found.webhooks.some((webhook) => isOurs(webhook) && webhook.clientConfig.caBundle !== caBundle)) {
    // What it is written as comes back as a change.
    await write(
      found.webhooks.map((webhook) =>
        isOurs(webhook) ? { ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } } : webhook,
      ),
    );
    return undefined;
  }
  const isOpen = (webhook: Webhook): boolean => isOurs(webhook) && webhook.failurePolicy !== "Fail";
  if (kind !== validatingWebhookConfigurationKind || validationDoubt === undefined || !found.webhooks.some(isOpen))
    return undefined;
  const doubt = await validationDoubt();
  if (doubt !== undefined) {
    log.debug("validation does not fail closed yet", { webhooks: name, doubt });
    return doubtRetryMs;
  }
  await write(found.webhooks.map((webhook) => (isOpen(webhook) ? { ...webhook, failurePolicy: "Fail" } : webhook)));
  log.info("validation is shown to work and fails closed from now on", { webhooks: name });
  return undefined;
}

type Webhook = NonNullable<WebhookConfiguration["webhooks"]>[number];
