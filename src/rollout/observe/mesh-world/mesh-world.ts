import { definedFields } from "../../../base/index.ts";
import { probeDataPlanes, type JournalEntry, type MeshUpgrade, type ProbeDataPlane } from "../../../api/serin/index.ts";
import type * as Install from "../../../install/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import {
  probeNamespace,
  probePlanesAnnotation,
  probePods,
  type LostProbes,
  type MeshWorld,
  type NamespaceInWorld,
} from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { observeClassicGateways, observeGateways } from "./gateways.ts";
import { observeCni, observeRoot, ztunnelNodes } from "./shared-parts.ts";
import { LeftCanaries } from "./left-canaries.ts";
import { observeNamespaces, type NamespaceLeads } from "./namespaces.ts";
import { PriorValues } from "./prior-values.ts";
import { observeRetirable } from "./retirable.ts";
import { renderInstalls, type EngineImage } from "./render-install.ts";
import { injectsWithoutTag, listWebhooks, observeInjectors, observeTags, tagsBefore } from "./tags.ts";
import { isStranded } from "../stranded-pod.ts";

/** Filters the kinds of objects that an installation creates for a gateway besides its Deployment. */
const gatewayPartKinds = ({ installedKinds }: typeof Install): (typeof Install)["installedKinds"] =>
  installedKinds.filter(({ kind }) =>
    [
      "Service",
      "ServiceAccount",
      "Role",
      "RoleBinding",
      "NetworkPolicy",
      "HorizontalPodAutoscaler",
      "PodDisruptionBudget",
    ].includes(kind),
  );

export interface MeshSources {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly image: EngineImage;
  readonly nowMs: number;
}

export interface ObservedWorld {
  readonly world: MeshWorld;
  readonly leads: NamespaceLeads;
}

export async function observeMeshWorld(
  { client, view, image, nowMs }: MeshSources,
  upgrade: MeshUpgrade,
  journal: readonly JournalEntry[],
): Promise<ObservedWorld> {
  const prior = new PriorValues(journal);
  // Loaded on demand, because most rollouts move applications and do not need it.
  const [install, webhooks] = await Promise.all([import("../../../install/index.ts"), listWebhooks(client)]);
  const tags = tagsBefore(webhooks, prior, upgrade);
  const leads = { tags, injectsWithoutTag: injectsWithoutTag(webhooks, tags, upgrade.spec.from.revision) };
  const namespaces = await observeNamespaces({ view, upgrade, prior, leads });
  const installs = renderInstalls(install, upgrade, image);
  const canaries = new LeftCanaries({ view, upgrade, prior });
  const sources = { client, view, upgrade, prior, tags, canaries };
  const gateways = await observeGateways(sources);
  const classicGateways = await observeClassicGateways(sources, installs, gatewayPartKinds(install));
  await canaries.refuse(client);
  const dataPlanes = dataPlanesOf(upgrade, namespaces, {
    gateways: gateways.some(({ waypoint }) => !waypoint),
    waypoints: gateways.some(({ waypoint }) => waypoint),
  });
  const world = {
    installs,
    namespaces,
    gateways,
    classicGateways,
    tags: upgrade.spec.scope.tags
      ? await observeTags({ client, install, upgrade, prior, webhooks, installs, version: image.tag })
      : [],
    ...observeInjectors(webhooks, upgrade, prior, installs),
    ztunnelNodes: ztunnelNodes(view, upgrade.spec.from.revision, prior),
    ...(await observeCni(client, view, install, upgrade, image)),
    ...(await observeRoot(client, view, upgrade, { installs, journal })),
    ...(await observeRetirable(client, view, install.revisionKinds.toReversed(), upgrade, journal)),
    ...probeSource(view, image),
    lostProbes: lostProbes(view, upgrade, dataPlanes, nowMs),
    dataPlanes,
  };
  return { world, leads };
}

/** The API server lets every pod tolerate these taints for a limited time, and adds that to the probes too. */
const passingTaints: ReadonlySet<string> = new Set(["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]);

/**
 * The image of the probes, the Secrets to pull it with, and where the probes may run. All of these come from the
 * engine's own pod, because nodes have pulled its image already, and administrators have chosen its nodes for the mesh.
 */
export function probeSource(
  { pods }: Pick<ClusterView, "pods">,
  { hub, tag, pod = "" }: EngineImage,
): Pick<MeshWorld, "probeImage" | "probePod"> {
  const own = pods.get(pod)?.spec;
  const { imagePullSecrets, nodeSelector, tolerations: given = [] } = own ?? {};
  const tolerations = given.filter(
    ({ key = "", tolerationSeconds }) => tolerationSeconds === undefined || !passingTaints.has(key),
  );
  return {
    probeImage: own?.containers?.find(({ name }) => name === "engine")?.image ?? `${hub}/serin:${tag}`,
    ...(own === undefined
      ? {}
      : {
          probePod: definedFields({
            imagePullSecrets,
            nodeSelector,
            tolerations: tolerations.length === 0 ? undefined : tolerations,
          }),
        }),
  };
}

/**
 * The data planes that this upgrade moves. `none`: the client outside the mesh, whose requests must still be refused.
 */
function dataPlanesOf(
  { spec: { scope } }: MeshUpgrade,
  namespaces: readonly NamespaceInWorld[],
  inUse: { readonly gateways: boolean; readonly waypoints: boolean },
): ProbeDataPlane[] {
  const sidecar =
    scope.namespaces && namespaces.some(({ injection, workloads }) => injection !== undefined || workloads.length > 0);
  const ambient =
    scope.ztunnel && namespaces.some((namespace) => namespace.ambient || namespace.enrolledPods.length > 0);
  const planes: Record<ProbeDataPlane, boolean> = {
    sidecar,
    ambient,
    waypoint: ambient && scope.waypoints && inUse.waypoints,
    gateway: (sidecar || ambient) && scope.gateways && inUse.gateways,
    none: sidecar || ambient,
  };
  return probeDataPlanes.filter((plane) => planes[plane]);
}

/**
 * The names of the probe pods that are gone, have ended, or stay Terminating. A node may evict pods or be lost with
 * them, and no controller starts them again. An annotation of the probes' namespace lists the data planes for which
 * probes were made. Without it, `dataPlanes` applies.
 */
export function lostProbes(
  view: Pick<ClusterView, "namespaces" | "pods">,
  { spec }: MeshUpgrade,
  dataPlanes: readonly ProbeDataPlane[],
  nowMs: number,
): LostProbes {
  const made = view.namespaces.get(probeNamespace)?.metadata;
  if (made === undefined || made.deletionTimestamp !== undefined) return { missing: [], ended: [], stranded: [] };
  const planes: readonly string[] = made.annotations?.[probePlanesAnnotation]?.split(",") ?? dataPlanes;
  const scope = {
    revisions: [...new Set([spec.from.revision, spec.to.revision])],
    dataPlanes: probeDataPlanes.filter((plane) => planes.includes(plane)),
  };
  const names = probePods(scope).map(({ reference: { name } }) => name);
  const podOf = (name: string): Pod | undefined => view.pods.get(`${probeNamespace}/${name}`);
  return {
    missing: names.filter((name) => podOf(name) === undefined),
    ended: names.filter((name) => {
      const { metadata, status } = podOf(name) ?? { metadata: {} };
      return metadata.deletionTimestamp === undefined && /^(Failed|Succeeded)$/.test(status?.phase ?? "");
    }),
    // The clocks of two machines suffice here, because removing a probe pod too early does no harm.
    stranded: names.filter((name) => {
      const pod = podOf(name);
      return pod !== undefined && isStranded(pod, nowMs);
    }),
  };
}
