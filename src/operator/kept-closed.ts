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
 * Returns the webhook configuration with policy `Fail` for each webhook that has this policy in the cluster. A control
 * plane sets the policy to `Fail` once the webhook works, and later writes must not undo this. A webhook that now calls
 * another server keeps its own policy until that server is known to work.
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

function webhookKey({
  name = "",
  clientConfig: { service, url = "" } = {},
}: NonNullable<Webhooks["webhooks"]>[number]): string {
  return [name, service?.namespace ?? "", service?.name ?? "", url].join(" ");
}
