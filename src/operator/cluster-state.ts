import { istioLabels } from "../api/istio/index.ts";
import {
  customResourceDefinitionKind,
  deploymentKind,
  mutatingWebhookConfigurationKind,
  type Deployment,
  type WebhookConfiguration,
} from "../api/kubernetes/index.ts";
import type { KubeClient } from "../kube/index.ts";

export interface InstalledRevision {
  readonly revision: string;
  readonly namespace: string;
  readonly deployment: string;
}

export interface InstalledTag {
  readonly tag: string;
  readonly revision: string;
  /** The name of the tag's webhook configuration. */
  readonly name: string;
}

export interface InstalledGateway {
  readonly name: string;
  readonly namespace: string;
  readonly revision: string;
}

export interface ClusterState {
  readonly revisions: readonly InstalledRevision[];
  readonly tags: readonly InstalledTag[];
  readonly gateways: readonly InstalledGateway[];
  /** The revision that injects pods without a revision label, or undefined if there is none. */
  readonly defaultRevision: string | undefined;
  readonly hasDefinitions: boolean;
}

const sampleDefinition = "virtualservices.networking.istio.io";

export async function observeClusterState(client: KubeClient): Promise<ClusterState> {
  const [pilots, gateways, otherGateways, injectors, definition] = await Promise.all([
    client.list(deploymentKind, { labelSelector: "app=istiod" }),
    client.list(deploymentKind, { labelSelector: "operator.istio.io/component in (IngressGateways,EgressGateways)" }),
    // The gateways of Banzai Cloud's operators.
    client.list(deploymentKind, { labelSelector: "gateway-name,gateway-type" }),
    client.list(mutatingWebhookConfigurationKind, { labelSelector: "app=sidecar-injector" }),
    client.get(customResourceDefinitionKind, sampleDefinition),
  ]);
  return {
    revisions: pilots.items.map(revisionOf),
    tags: injectors.items.flatMap(tagOf),
    gateways: [...gateways.items, ...otherGateways.items].map(({ metadata }) => ({
      name: metadata.name ?? "",
      namespace: metadata.namespace ?? "",
      revision: metadata.labels?.[istioLabels.revision] ?? "default",
    })),
    defaultRevision: defaultOf(injectors.items),
    hasDefinitions: definition !== undefined,
  };
}

function revisionOf({ metadata }: Deployment): InstalledRevision {
  return {
    revision: metadata.labels?.[istioLabels.revision] ?? "default",
    namespace: metadata.namespace ?? "",
    deployment: metadata.name ?? "",
  };
}

function tagOf({ metadata }: WebhookConfiguration): InstalledTag[] {
  const tag = metadata.labels?.[istioLabels.tag];
  return tag === undefined
    ? []
    : [{ tag, revision: metadata.labels?.[istioLabels.revision] ?? "default", name: metadata.name ?? "" }];
}

function defaultOf(injectors: readonly WebhookConfiguration[]): string | undefined {
  const tag = injectors.find(({ metadata }) => metadata.labels?.[istioLabels.tag] === "default");
  const unnamed = injectors.find(
    ({ metadata, webhooks = [] }) =>
      metadata.labels?.[istioLabels.tag] === undefined &&
      webhooks.some(({ name }) => name === "namespace.sidecar-injector.istio.io"),
  );
  return (tag ?? unnamed)?.metadata.labels?.[istioLabels.revision];
}
