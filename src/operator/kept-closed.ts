import type { UntypedObject } from "../api/index.ts";
import { installedKindOf } from "../install/index.ts";
import type { KubeClient } from "../kube/index.ts";

interface Webhooks extends UntypedObject {
  readonly webhooks?: readonly {
    readonly name?: string;
    readonly failurePolicy?: string;
    readonly clientConfig?: {
      readonly service?: { readonly name?: string; readonly namespace?: string };
      readonly url?: string;
    };
  }[];
}

/**
 * The webhook configuration with the failure policies in the cluster. A control plane sets its webhook's policy to Fail
 * once the webhook works, and no later write may undo this. A webhook that now calls another server gets Ignore again
 * until that server is known to work.
 */
export async function keptClosed(client: KubeClient, object: Webhooks): Promise<UntypedObject> {
  if (object.kind !== "ValidatingWebhookConfiguration") return object;
  const found: Webhooks | undefined = await client.get(installedKindOf(object), object.metadata.name ?? "");
  const closed = new Set(
    (found?.webhooks ?? []).filter(({ failurePolicy }) => failurePolicy === "Fail").map(webhookKey),
  );
  const webhooks = (object.webhooks ?? []).map((webhook) =>
    closed.has(webhookKey(webhook)) ? { ...webhook, failurePolicy: "Fail" } : webhook,
  );
  return { ...object, webhooks };
}

/** A key for a webhook, made of its name and the server that it calls. */
function webhookKey({
  name = "",
  clientConfig: { service, url = "" } = {},
}: NonNullable<Webhooks["webhooks"]>[number]): string {
  return [name, service?.namespace ?? "", service?.name ?? "", url].join(" ");
}
