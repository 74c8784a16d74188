import { userError, type Clock } from "../../../base/index.ts";
import { formatIssues, type UntypedObject } from "../../../api/index.ts";
import { gatewayKind, type Gateway } from "../../../api/gateway/index.ts";
import { mutatingWebhookConfigurationKind } from "../../../api/kubernetes/index.ts";
import { probeDataPlanes, type JournalEntry, type MeshUpgrade, type ObjectReference, type ProbeDataPlane } from "../../../api/serin/index.ts";
import type * as Install from "../../../install/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import { labelPointer, probeNamespace, referenceTo, type GatewayInWorld, type MeshWorld, type NamespaceInWorld } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { observeNamespaces } from "./namespaces.ts";
import { PriorValues } from "./prior-values.ts";
import { observeTags } from "./tags.ts";

export interface EngineImage {
  readonly hub: string;
  readonly tag: string;
}

export interface MeshSources {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly clock: Clock;
  readonly image: EngineImage;
}

/** The kinds of which a revision's control plane and ztunnel consist, in the order in which they are retired. */
const retirableKinds = ({ installedKinds }: typeof Install): (typeof Install)["installedKinds"] => installedKinds.filter(({ kind }) => kind !== "Namespace" && kind !== "CustomResourceDefinition").toReversed();

/** The cluster as a plan of this upgrade needs it. */
export async function observeMeshWorld({ client, view, clock, image }: MeshSources, upgrade: MeshUpgrade, journal: readonly JournalEntry[]): Promise<MeshWorld> {
  const prior = new PriorValues(journal);
  const tags = await observeTags(client, prior);
  const namespaces = await observeNamespaces({ view, upgrade, prior, tags, nowMs: clock.nowMs() });
  // Only upgrades of the mesh need it, and most rollouts are of applications.
  const install = await import("../../../install/index.ts");
  const gateways = await ownedGateways(client, upgrade, journal);
  return {
    installs: upgrade.spec.to.install.map((spec, index) => renderOne(install, spec, index, image)),
    namespaces,
    gateways,
    defaultTag: await defaultTag(client, upgrade),
    retirable: await retirable(client, retirableKinds(install), upgrade.spec.from.revision),
    probeImage: `${image.hub}/serin:${image.tag}`,
    dataPlanes: dataPlanesOf(upgrade, namespaces, { gateways: gateways.length > 0, waypoints: (await listGateways(client)).some(({ spec }) => waypointClasses.includes(spec.gatewayClassName)) }),
  };
}

/** Those in which something of this upgrade moves; with them what is of no mesh, and must stay outside. */
function dataPlanesOf({ spec: { scope } }: MeshUpgrade, namespaces: readonly NamespaceInWorld[], inUse: { readonly gateways: boolean; readonly waypoints: boolean }): ProbeDataPlane[] {
  const sidecar = scope.namespaces && namespaces.some(({ injection, workloads }) => injection !== undefined || workloads.length > 0);
  const ambient = scope.ztunnel && namespaces.some((namespace) => namespace.ambient || namespace.enrolledPods.length > 0);
  const planes: Record<ProbeDataPlane, boolean> = { sidecar, ambient, waypoint: ambient && scope.waypoints && inUse.waypoints, gateway: (sidecar || ambient) && scope.gateways && inUse.gateways, none: sidecar || ambient };
  return probeDataPlanes.filter((plane) => planes[plane]);
}

function renderOne({ resolveSettings, renderInstall }: typeof Install, spec: MeshUpgrade["spec"]["to"]["install"][number], index: number, image: EngineImage): readonly UntypedObject[] {
  const parsed = resolveSettings({ specs: [spec] }, image);
  if (parsed.value === undefined) throw userError("upgrade-invalid", `spec.to.install[${index}]: ${formatIssues(parsed.errors)}`);
  const { components, errors } = renderInstall({ ...parsed.value, base: { ...parsed.value.base, enabled: false } }, { istio: [], rollout: [] });
  if (errors.length > 0) throw userError("upgrade-invalid", `spec.to.install[${index}]: ${formatIssues(errors)}`);
  return components.flatMap((component) => component.objects);
}

const controllerName = "istio";

const waypointClasses: readonly string[] = ["istio-waypoint", "istio-mesh"];

/** None where the cluster does not serve them. The probes' own go with the probes. */
async function listGateways(client: KubeClient): Promise<readonly Gateway[]> {
  const { items } = await client.list(gatewayKind).catch(() => ({ items: [] as readonly Gateway[] }));
  return items.filter(({ metadata }) => metadata.namespace !== probeNamespace && metadata.deletionTimestamp === undefined);
}

/** Gateways that the old revision owned when the upgrade began: by their label, or by the default tag where they have none. */
async function ownedGateways(client: KubeClient, upgrade: MeshUpgrade, journal: readonly JournalEntry[]): Promise<GatewayInWorld[]> {
  return (await listGateways(client))
    .filter(({ spec }) => spec.gatewayClassName === controllerName)
    .map(({ metadata }) => ({ metadata, before: labelBefore(journal, metadata.namespace ?? "", metadata.name ?? "", metadata.labels?.["istio.io/rev"]) }))
    .filter(({ before }) => before === undefined || before === upgrade.spec.from.revision)
    .map(({ metadata, before }) => ({ name: metadata.name ?? "", namespace: metadata.namespace ?? "", labelled: before !== undefined, replicas: 1 }))
    .toSorted((a, b) => a.name.localeCompare(b.name));
}

/** The gateway's revision label before this upgrade wrote it. */
function labelBefore(journal: readonly JournalEntry[], namespace: string, name: string, now: string | undefined): string | undefined {
  const written = journal.find(
    (entry) => entry.type === "field" && entry.object.kind === "Gateway" && entry.object.namespace === namespace && entry.object.name === name && entry.pointer === labelPointer("istio.io/rev"),
  );
  return written?.type === "field" ? (written.prior as string | undefined) : now;
}

async function defaultTag(client: KubeClient, { spec }: MeshUpgrade): Promise<MeshWorld["defaultTag"]> {
  const { items } = await client.list(mutatingWebhookConfigurationKind, { labelSelector: "istio.io/tag=default" });
  const found = items.find(({ metadata }) => [spec.from.revision, spec.to.revision].includes(metadata.labels?.["istio.io/rev"] ?? ""));
  return found === undefined ? undefined : { name: found.metadata.name ?? "", webhooks: found.webhooks?.length ?? 0 };
}

async function retirable(client: KubeClient, kinds: ReturnType<typeof retirableKinds>, revision: string): Promise<ObjectReference[]> {
  const labelSelector = `istio.io/rev=${revision},operator.istio.io/component in (Pilot,Ztunnel),!istio.io/tag`;
  const lists = await Promise.all(kinds.map(async (kind) => (await client.list(kind, { labelSelector })).items));
  return lists.flat().map(referenceTo);
}
