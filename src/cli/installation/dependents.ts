import { defaultRevision, istioAnnotations, istioLabels, resolveRevision } from "../../api/istio/index.ts";
import { messageOf } from "../../base/index.ts";
import { gatewayKind, storedGateway } from "../../api/gateway/index.ts";
import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import {
  mutatingWebhookConfigurationKind,
  namespaceKind,
  podKind,
  type Namespace,
  type Pod,
} from "../../api/kubernetes/index.ts";
import { gatewayCanaryAnnotations, podOfProxyId, ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import { itemsIfServed, type KubeClient } from "../../kube/index.ts";
import {
  listControlPlanes,
  listPilots,
  listProxies,
  namespacesOfControlPlanes,
  type Pilot,
} from "../control-planes/pilots.ts";

export interface Dependents {
  /** Tags of the revision that another control plane could take over. */
  readonly tags: readonly string[];
  /** Namespaces whose labels select the revision for injection, by its name, by a tag, or as the default. */
  readonly namespaces: readonly string[];
  /**
   * The `id`s of proxies that get their configuration from the revision. A proxy that is reconnecting counts if its pod
   * still runs.
   */
  readonly proxies: readonly string[];
  /**
   * Those of `proxies` that have no pod. They run outside the cluster, or their pod has just ended and the control
   * plane has not noticed yet.
   */
  readonly podless: readonly string[];
  /** `namespace/name` of Gateways whose proxies the revision runs. */
  readonly gateways: readonly string[];
  /** `namespace/name` of pods whose traffic goes through the revision's ztunnel, or that it injected. */
  readonly pods: readonly string[];
  /** Names the objects that could not be read. */
  readonly warnings: readonly string[];
}

/**
 * Finds what would stop working if the revision were removed. Leaves out the revision's own ztunnels and classic
 * gateways, which are removed with it.
 */
export async function dependentsOf(client: KubeClient, revision: string): Promise<Dependents> {
  const [{ items: allPods }, namespaces, tags, planes] = await Promise.all([
    client.list(podKind),
    client.list(namespaceKind),
    tagsOf(client, revision),
    namespacesOfControlPlanes(client),
  ]);
  const pods = allPods.filter(
    ({ metadata, status }) =>
      metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed",
  );
  const going = new Set(allPods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined).map(nameOf));
  const own = pods.filter((pod) => isOwn(pod, revision, planes));
  const { proxies, warnings } = await servedProxies(client, revision, new Set(own.map(nameOf)), {
    live: new Set(pods.map(nameOf)),
    going,
  });
  const connectedPods = new Set(proxies.map(podOf));
  const present = new Set(allPods.map(nameOf));
  return {
    tags: await takenOver(client, revision, tags),
    namespaces: namespaces.items
      .filter((namespace) => namesRevision(namespace, revision, tags))
      .map(({ metadata }) => metadata.name ?? "")
      .toSorted(),
    proxies,
    podless: proxies.filter((id) => !present.has(podOf(id))),
    gateways: await ownedGateways(client, revision, namespaces.items, tags),
    pods: pods
      .filter((pod) => !connectedPods.has(nameOf(pod)) && !own.includes(pod) && leansOn(pod, revision))
      .map(nameOf)
      .toSorted(),
    warnings,
  };
}

async function tagsOf(client: KubeClient, revision: string): Promise<string[]> {
  const { items } = await client.list(mutatingWebhookConfigurationKind);
  return items
    .filter(
      ({ metadata: { labels = {} } }) =>
        labels[istioLabels.tag] !== undefined && labels[istioLabels.revision] === revision,
    )
    .map(({ metadata }) => metadata.labels?.[istioLabels.tag] ?? "")
    .toSorted();
}

/**
 * The tags that the user must first move to another control plane. Without another control plane, the tags are removed
 * with the revision.
 */
async function takenOver(client: KubeClient, revision: string, tags: readonly string[]): Promise<readonly string[]> {
  const items = await listControlPlanes(client);
  const hasHeir = items.some(
    ({ metadata }) => (metadata.labels?.[istioLabels.revision] ?? defaultRevision) !== revision,
  );
  return hasHeir ? tags : [];
}

function namesRevision({ metadata }: Namespace, revision: string, tags: readonly string[]): boolean {
  const { labels = {}, deletionTimestamp } = metadata;
  if (deletionTimestamp !== undefined) return false;
  if (labels[istioLabels.injection] === "enabled")
    return revision === defaultRevision || tags.includes(defaultRevision);
  const named = labels[istioLabels.revision];
  return (
    labels[istioLabels.injection] === undefined && named !== undefined && (named === revision || tags.includes(named))
  );
}

/** Whether a pod belongs to the revision's installation, and so is removed with it. */
function isOwn(
  { metadata: { labels = {}, namespace = "" } }: Pod,
  revision: string,
  planes: ReadonlySet<string>,
): boolean {
  const component = labels[istioLabels.component];
  const isPart =
    (labels["app"] === "ztunnel" && ztunnelNamespaces(planes).has(namespace)) ||
    (labels["app"] === "istiod" && planes.has(namespace)) ||
    component === "IngressGateways" ||
    component === "EgressGateways";
  return isPart && (labels[istioLabels.revision] ?? defaultRevision) === revision;
}

function leansOn(pod: Pod, revision: string): boolean {
  const annotations = pod.metadata.annotations ?? {};
  return (
    annotations[ztunnelOwnerAnnotation] === revision ||
    (annotations[istioAnnotations.sidecarStatus] !== undefined && annotations[istioLabels.revision] === revision)
  );
}

/** The pods that are staying, and those that are being deleted. */
interface PodNames {
  readonly live: ReadonlySet<string>;
  readonly going: ReadonlySet<string>;
}

/**
 * The proxies of the revision, without its own and without those of pods that are being deleted. Includes proxies that
 * are reconnecting: a control plane ends each connection from time to time, and the proxy still needs it.
 */
async function servedProxies(
  client: KubeClient,
  revision: string,
  own: ReadonlySet<string>,
  { live, going }: PodNames,
): Promise<{ proxies: string[]; warnings: string[] }> {
  const proxies = new Set<string>();
  const gone = new Set<string>();
  const warnings: string[] = [];
  const pilots = await listPilots(client);
  for (const pilot of pilots.filter((candidate) => candidate.revision === revision)) {
    try {
      for (const { id, goneAt, unproven } of await listProxies(client, pilot, { gone: true })) {
        if (own.has(podOf(id)) || going.has(podOf(id))) continue;
        if (goneAt === undefined) proxies.add(id);
        else if (unproven !== true && live.has(podOf(id))) gone.add(id);
      }
    } catch (error) {
      warnings.push(`${pilot.pod} did not list its connected proxies: ${messageOf(error)}`);
    }
  }
  const absent = [...gone].filter((id) => !proxies.has(id));
  const others = absent.length === 0 ? [] : pilots.filter((pilot) => pilot.revision !== revision);
  const elsewhere = await connectedTo(client, others);
  for (const id of absent) if (!elsewhere.has(id)) proxies.add(id);
  return { proxies: [...proxies].toSorted(), warnings };
}

/** The proxies that are connected to the pilots. Ignores a pilot that does not answer. */
async function connectedTo(client: KubeClient, pilots: readonly Pilot[]): Promise<ReadonlySet<string>> {
  const found = pilots.map(
    async (pilot) => await listProxies(client, pilot).catch((): Awaited<ReturnType<typeof listProxies>> => []),
  );
  return new Set((await Promise.all(found)).flat().map(({ id }) => id));
}

async function ownedGateways(
  client: KubeClient,
  revision: string,
  all: readonly Namespace[],
  tags: readonly string[],
): Promise<string[]> {
  const namespaces = new Map(all.map(({ metadata }) => [metadata.name ?? "", metadata.labels?.[istioLabels.revision]]));
  const gateways = await itemsIfServed(client.list(gatewayKind));
  return gateways
    .map(storedGateway)
    .filter(({ metadata, spec }) => {
      if (spec.gatewayClassName !== "istio" && spec.gatewayClassName !== "istio-waypoint") return false;
      const owner = resolveRevision(
        { own: metadata.labels?.[istioLabels.revision], namespace: namespaces.get(metadata.namespace ?? "") },
        (name) => (tags.includes(name) ? revision : undefined),
      );
      return owner === revision || metadata.annotations?.[gatewayCanaryAnnotations.revision] === revision;
    })
    .map(nameOf)
    .toSorted();
}

function nameOf({ metadata }: { readonly metadata: { readonly name?: string; readonly namespace?: string } }): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

function podOf(id: string): string {
  const { name, namespace } = podOfProxyId(id);
  return `${namespace}/${name}`;
}
