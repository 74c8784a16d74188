import { messageOf } from "../base/index.ts";
import { gatewayKind } from "../api/gateway/index.ts";
import { namespaceKind, podKind, type Pod } from "../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation } from "../api/serin/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { listPilots, listProxies } from "./pilots.ts";

const revisionLabel = "istio.io/rev";
const canaryRevisionAnnotation = "rollout.serin.dev/canary-revision";
const defaultRevision = "default";

export interface Dependents {
  /** `id` of proxies that get their configuration from the revision. */
  readonly proxies: readonly string[];
  /** `namespace/name` of Gateways whose proxies the revision runs. */
  readonly gateways: readonly string[];
  /** `namespace/name` of pods whose traffic goes through the revision's ztunnel. */
  readonly pods: readonly string[];
  /** What could not be asked. */
  readonly warnings: readonly string[];
}

/** Who would be cut off if the revision went. What goes with it (its own ztunnels) does not count. */
export async function dependentsOf(client: KubeClient, revision: string): Promise<Dependents> {
  const pods = (await client.list(podKind)).items.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const { proxies, warnings } = await connectedProxies(client, revision, pods);
  return {
    proxies,
    gateways: await ownedGateways(client, revision),
    pods: pods.filter((pod) => pod.metadata.annotations?.[ztunnelOwnerAnnotation] === revision).map(nameOf).toSorted(),
    warnings,
  };
}

async function connectedProxies(client: KubeClient, revision: string, pods: readonly Pod[]): Promise<{ proxies: string[]; warnings: string[] }> {
  const own = new Set(pods.filter(({ metadata: { labels = {} } }) => labels["app"] === "ztunnel" && (labels[revisionLabel] ?? defaultRevision) === revision).map(nameOf));
  const proxies = new Set<string>();
  const warnings: string[] = [];
  for (const pilot of (await listPilots(client)).filter((one) => one.revision === revision)) {
    try {
      for (const { id } of await listProxies(client, pilot)) if (!own.has(podOf(id))) proxies.add(id);
    } catch (error) {
      warnings.push(`${pilot.pod} could not be asked who is connected: ${messageOf(error)}`);
    }
  }
  return { proxies: [...proxies].toSorted(), warnings };
}

async function ownedGateways(client: KubeClient, revision: string): Promise<string[]> {
  const namespaces = new Map((await client.list(namespaceKind)).items.map(({ metadata }) => [metadata.name ?? "", metadata.labels?.[revisionLabel]]));
  // The kind is not there when no Gateway API is installed.
  const { items } = await client.list(gatewayKind).catch(() => ({ items: [] }));
  return items
    .filter(({ metadata, spec }) => {
      if (spec.gatewayClassName !== "istio") return false;
      const owner = metadata.labels?.[revisionLabel] ?? namespaces.get(metadata.namespace ?? "") ?? defaultRevision;
      return owner === revision || metadata.annotations?.[canaryRevisionAnnotation] === revision;
    })
    .map(nameOf)
    .toSorted();
}

function nameOf({ metadata }: { readonly metadata: { readonly name?: string; readonly namespace?: string } }): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

/** A proxy's id is `name.namespace`. */
function podOf(id: string): string {
  const dot = id.lastIndexOf(".");
  return `${id.slice(dot + 1)}/${id.slice(0, dot)}`;
}
