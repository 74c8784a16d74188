import type { KindDefinition } from "../../api/index.ts";
import { mutatingWebhookConfigurationKind, validatingWebhookConfigurationKind, type WebhookConfiguration } from "../../api/kubernetes/index.ts";
import type { Clock, Logger } from "../../base/index.ts";
import { createInformer, Reconciler, type Informer, type KubeClient } from "../../kube/index.ts";

export interface CaBundleControllerOptions {
  readonly client: KubeClient;
  /** This control plane's Service: webhooks that lead to it are looked after. */
  readonly service: { readonly namespace: string; readonly name: string };
  /** PEM. */
  readonly root: () => string;
  /** Calls whenever the root is another one. */
  readonly onRootChange: (changed: () => void) => void;
  /** Whether our validation answers by now, so that what it cannot be asked about may be refused; absent: failure policies are left alone. */
  readonly failClosed?: (() => boolean) | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const fieldManager = "istiod-ca-bundle";
/** Until validation answers. */
const notReadyRetryMs = 1000;

/** Keeps the CA of webhooks that lead to this control plane, so that the API server trusts it. */
export async function runCaBundleController(options: CaBundleControllerOptions, signal: AbortSignal): Promise<void> {
  await Promise.all([look(options, validatingWebhookConfigurationKind, signal), look(options, mutatingWebhookConfigurationKind, signal)]);
}

async function look(options: CaBundleControllerOptions, kind: KindDefinition<WebhookConfiguration>, signal: AbortSignal): Promise<void> {
  const { client, onRootChange, clock, log } = options;
  const informer = createInformer(client, kind, { clock, log });
  const reconciler = new Reconciler({
    name: "ca-bundle",
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
async function patch({ client, service, root, failClosed }: CaBundleControllerOptions, kind: KindDefinition<WebhookConfiguration>, informer: Informer<WebhookConfiguration>, name: string): Promise<number | undefined> {
  const found = informer.get(name);
  const caBundle = Buffer.from(root()).toString("base64");
  const mayClose = kind === validatingWebhookConfigurationKind ? failClosed : undefined;
  const closes = mayClose?.() === true;
  let isAwaited = false;
  const webhooks = found?.webhooks?.map((webhook) => {
    const { clientConfig } = webhook;
    if (clientConfig.service?.name !== service.name || clientConfig.service.namespace !== service.namespace) return webhook;
    const isOpen = mayClose !== undefined && webhook.failurePolicy !== "Fail";
    isAwaited ||= isOpen && !closes;
    if (clientConfig.caBundle === caBundle && !(isOpen && closes)) return webhook;
    return { ...webhook, clientConfig: { ...clientConfig, caBundle }, ...(isOpen && closes ? { failurePolicy: "Fail" as const } : {}) };
  });
  if (found !== undefined && webhooks?.some((webhook, index) => webhook !== found.webhooks?.[index]) === true) {
    await client.patchMerge(kind, name, undefined, { metadata: { resourceVersion: found.metadata.resourceVersion }, webhooks }, { fieldManager });
  }
  return isAwaited ? notReadyRetryMs : undefined;
}
