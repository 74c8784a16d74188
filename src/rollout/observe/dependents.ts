import { namespaceKind, type WebhookConfiguration } from "../../api/kubernetes/index.ts";
import { gatewayKind } from "../../api/gateway/index.ts";
import { mutatingWebhookConfigurationKind, validatingWebhookConfigurationKind } from "../../api/kubernetes/index.ts";
import { workloadEntryKind } from "../../api/istio/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import { injectionLabel, probeNamespace, revisionLabel } from "../plan/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { dependentProxies } from "./pilots.ts";
import { isLive, sidecarRevision } from "./sidecar-workloads.ts";

const tagLabel = "istio.io/tag";
const gatewayNameLabel = "gateway.networking.k8s.io/gateway-name";
const controllerAnnotation = "istio.io/workloadController";

/**
 * All that still needs a revision, by name: pods that a ztunnel of it has, sidecars, gateways and waypoints, whatever is
 * connected to its control plane (machines too), and what would lead new ones to it: webhooks, namespaces, Gateways.
 */
export async function dependentsOf(client: KubeClient, view: ClusterView, revision: string): Promise<string[]> {
  const pods = podsOf(view, revision);
  const named = new Set(pods.map(({ id }) => id));
  const connected = (await dependentProxies(view, revision)).filter((id) => !named.has(id)).map((id) => `proxy ${id}`);
  const webhooks = await webhooksOf(client, revision);
  return [
    ...pods.map(({ text }) => text),
    ...connected,
    ...webhooks,
    ...(await machinesOf(client, revision)),
    ...namespacesOf(view, revision),
    ...(await gatewaysOf(client, revision)),
  ];
}

interface DependentPod {
  readonly id: string;
  readonly text: string;
}

function podsOf(view: ClusterView, revision: string): DependentPod[] {
  return view.pods.list().flatMap((pod): DependentPod[] => {
    const { name = "", namespace = "", labels = {}, annotations = {} } = pod.metadata;
    if (namespace === probeNamespace || !isLive(pod)) return [];
    const id = `${name}.${namespace}`;
    const text = `pod ${namespace}/${name}`;
    if (annotations[ztunnelOwnerAnnotation] === revision) return [{ id, text: `${text} (its ztunnel)` }];
    if (sidecarRevision(pod) === revision) return [{ id, text: `${text} (its sidecar)` }];
    return labels[gatewayNameLabel] !== undefined && labels[revisionLabel] === revision
      ? [{ id, text: `${text} (a gateway)` }]
      : [];
  });
}

/** Tags and validators that lead to it, apart from its own webhooks, which go with it. */
async function webhooksOf(client: KubeClient, revision: string): Promise<string[]> {
  const [injectors, validators] = await Promise.all([
    client.list(mutatingWebhookConfigurationKind),
    client.list(validatingWebhookConfigurationKind),
  ]);
  const leads = ({ metadata: { labels = {} } }: WebhookConfiguration): boolean =>
    labels[tagLabel] !== undefined && labels[revisionLabel] === revision;
  return [
    ...injectors.items.filter(leads).map(({ metadata }) => `tag ${metadata.labels?.[tagLabel] ?? ""}`),
    ...validators.items.filter(leads).map(({ metadata }) => `ValidatingWebhookConfiguration ${metadata.name ?? ""}`),
  ];
}

/** Machines that registered themselves at one of its pods. */
async function machinesOf(client: KubeClient, revision: string): Promise<string[]> {
  const { items } = await client.list(workloadEntryKind).catch(() => ({ items: [] }));
  const pilot =
    revision === "default"
      ? /^istiod-[0-9a-z]+-[0-9a-z]{5}$/
      : new RegExp(`^istiod-${revision.replaceAll(".", "[.-]")}-[0-9a-z]+-[0-9a-z]{5}$`);
  return items
    .filter(({ metadata }) => pilot.test((metadata.annotations?.[controllerAnnotation] ?? "").split(".")[0] ?? ""))
    .map(({ metadata }) => `WorkloadEntry ${metadata.namespace ?? ""}/${metadata.name ?? ""}`);
}

function namespacesOf(view: ClusterView, revision: string): string[] {
  return view.namespaces
    .list()
    .filter(
      ({ metadata: { labels = {} } }) => labels[injectionLabel] === undefined && labels[revisionLabel] === revision,
    )
    .map(({ metadata }) => `${namespaceKind.kind.toLowerCase()} ${metadata.name ?? ""} (its label)`);
}

async function gatewaysOf(client: KubeClient, revision: string): Promise<string[]> {
  const { items } = await client.list(gatewayKind).catch(() => ({ items: [] }));
  return items
    .filter(({ metadata }) => metadata.namespace !== probeNamespace && metadata.labels?.[revisionLabel] === revision)
    .map(({ metadata }) => `Gateway ${metadata.namespace ?? ""}/${metadata.name ?? ""} (its label)`);
}
