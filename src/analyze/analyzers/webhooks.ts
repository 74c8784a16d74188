import { matchesLabelSelector, type Labels } from "../../api/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import {
  mutatingWebhookConfigurationKind,
  serviceKind,
  validatingWebhookConfigurationKind,
  type Webhook,
  type WebhookConfiguration,
} from "../../api/kubernetes/index.ts";
import { addressBytes } from "../../base/index.ts";
import { listed, type Analyzer, type Report } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";

const { revision } = istioLabels;
interface PlacedWebhook {
  readonly entry: Entry<WebhookConfiguration>;
  readonly webhook: Webhook;
  readonly index: number;
}

export const webhookAnalyzer: Analyzer = {
  name: "webhook.Analyzer",
  description: "injection webhooks do not overlap, and their Services exist",
  analyze(inventory, report) {
    const found = webhooksOf(inventory, mutatingWebhookConfigurationKind);
    reportOverlaps(found, report);
    reportLost(found, inventory, report);
  },
};

/** Reports webhooks that lead nowhere, and those that name a control plane outside the cluster by an IP address. */
export const externalControlPlaneAnalyzer: Analyzer = {
  name: "externalcontrolplane.ExternalControlPlaneAnalyzer",
  description: "webhooks of a control plane outside the cluster name its host",
  analyze(inventory, report) {
    for (const { entry, webhook, index } of [
      ...webhooksOf(inventory, mutatingWebhookConfigurationKind),
      ...webhooksOf(inventory, validatingWebhookConfigurationKind),
    ]) {
      const { url, service } = webhook.clientConfig;
      const client = `webhooks[${index}].clientConfig`;
      if (url === undefined && service === undefined)
        report(
          messageTypes.invalidExternalControlPlaneConfig,
          entry.resource,
          client,
          `webhook ${webhook.name} leads nowhere, so the API server refuses the configuration; set clientConfig.service for a control plane in the cluster, or clientConfig.url for one outside`,
        );
      if (url === undefined) continue;
      const host = hostOf(url);
      if (host === undefined)
        report(
          messageTypes.invalidExternalControlPlaneConfig,
          entry.resource,
          `${client}.url`,
          `webhook ${webhook.name} must lead to the control plane by an https URL such as https://istiod.example.com/inject, got "${url}"`,
        );
      else if (addressBytes(host) !== undefined)
        report(
          messageTypes.externalControlPlaneAddressIsNotAHostname,
          entry.resource,
          `${client}.url`,
          `webhook ${webhook.name} leads to the control plane by the IP address ${host}, so it breaks when the address changes; use a host name in production`,
        );
    }
  },
};

/** The host in an https URL, an IPv6 address without brackets. Undefined for any other text. */
function hostOf(url: string): string | undefined {
  const parsed = URL.parse(url);
  return parsed?.protocol === "https:" ? parsed.hostname.replaceAll(/^\[|\]$/g, "") : undefined;
}

/**
 * The webhooks in the configurations of control planes. In a file, a webhook may lack fields that the API server
 * requires.
 */
export function webhooksOf(
  inventory: Inventory,
  kind: typeof mutatingWebhookConfigurationKind,
): readonly PlacedWebhook[] {
  return inventory.of(kind).flatMap((entry) => {
    const webhooks = (entry.object.webhooks ?? []).map(
      ({ name = "", clientConfig = {}, ...others }: Partial<Webhook>) => ({ ...others, name, clientConfig }),
    );
    const isOfControlPlane =
      entry.object.metadata.labels?.[revision] !== undefined || webhooks.some(({ name }) => name.endsWith("istio.io"));
    return isOfControlPlane ? webhooks.map((webhook, index) => ({ entry, webhook, index })) : [];
  });
}

/**
 * Reports webhooks that would inject the same pod. For each combination of a namespace's and a pod's labels, only one
 * webhook may.
 */
function reportOverlaps(found: readonly PlacedWebhook[], report: Report): void {
  const revisions = new Set(
    found.flatMap(({ entry, webhook }) =>
      [entry.object.metadata.labels?.[revision] ?? [], revisionsIn(webhook)].flat(),
    ),
  );
  const namespaces = variants(istioLabels.injection, ["enabled", "disabled"], revisions);
  const objects = variants(istioLabels.inject, ["true", "false"], revisions);
  const rivals = new Map<PlacedWebhook, Set<string>>();
  for (const namespace of namespaces) {
    const ofNamespace = found.filter(({ webhook }) => takes(webhook.namespaceSelector, namespace));
    for (const object of objects) {
      const taking = ofNamespace.filter(({ webhook }) => takes(webhook.objectSelector, object));
      if (taking.length < 2) continue;
      for (const rival of taking) {
        const names = rivals.get(rival) ?? new Set();
        for (const other of taking) if (other !== rival) names.add(nameOf(other));
        rivals.set(rival, names);
      }
    }
  }
  for (const [{ entry, webhook, index }, names] of rivals) {
    report(
      messageTypes.invalidWebhook,
      entry.resource,
      `webhooks[${index}]`,
      `webhook ${webhook.name} selects pods that ${listed([...names].toSorted())} also select${names.size === 1 ? "s" : ""}, so they may be injected twice; remove the older installation, or move the tag`,
    );
  }
}

function nameOf({ entry, webhook }: PlacedWebhook): string {
  return `${entry.object.metadata.name ?? ""}/${webhook.name}`;
}

function revisionsIn({ namespaceSelector, objectSelector }: Webhook): readonly string[] {
  return [namespaceSelector, objectSelector].flatMap((selector) =>
    [
      selector?.matchLabels?.[revision] ?? [],
      (selector?.matchExpressions ?? []).flatMap(({ key, values = [] }) => (key === revision ? values : [])),
    ].flat(),
  );
}

function variants(key: string, values: readonly string[], revisions: ReadonlySet<string>): readonly Labels[] {
  const bases: readonly Labels[] = [{}, ...values.map((value) => ({ [key]: value }))];
  return [...bases, ...[...revisions].flatMap((name) => bases.map((base) => ({ ...base, [revision]: name })))];
}

function takes(selector: Webhook["namespaceSelector"], labels: Labels): boolean {
  return selector === undefined || matchesLabelSelector(selector, labels);
}

function reportLost(found: readonly PlacedWebhook[], inventory: Inventory, report: Report): void {
  if (!inventory.knowsAll(serviceKind)) return;
  for (const { entry, webhook, index } of found) {
    const service = webhook.clientConfig.service;
    if (service === undefined || inventory.exists(serviceKind, service.namespace, service.name)) continue;
    report(
      messageTypes.invalidWebhook,
      entry.resource,
      `webhooks[${index}].clientConfig.service`,
      `webhook ${webhook.name} calls Service ${service.namespace}/${service.name}, which does not exist, so pods that it selects ${webhook.failurePolicy === "Ignore" ? "get no sidecar" : "cannot be created"}; install that revision again, or delete the webhook`,
    );
  }
}
