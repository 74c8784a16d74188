import { ownField } from "../../../base/index.ts";
import type { KindDefinition, UntypedObject } from "../../../api/index.ts";
import {
  gatewayClassKind,
  gatewayKind,
  storedGateway,
  storedGatewayClass,
  type Gateway,
} from "../../../api/gateway/index.ts";
import { resolveRevision, istioLabels } from "../../../api/istio/index.ts";
import { horizontalPodAutoscalerKind, type Deployment } from "../../../api/kubernetes/index.ts";
import { canaryOfLabel, type MeshUpgrade, type ObjectReference } from "../../../api/serin/index.ts";
import { itemsIfServed, type KubeClient } from "../../../kube/index.ts";
import {
  movedGateway,
  probeNamespace,
  reference,
  referenceTo,
  revisionLabel,
  type ClassicGatewayInWorld,
  type ControlPlanes,
  type GatewayInWorld,
  type ScaledDeployment,
} from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { readOperators } from "../operator-objects.ts";
import { controlPlaneDeployments, controlPlaneRevision } from "../pilot-answers.ts";
import { isReady } from "../pod-reason.ts";
import { gatewayPods, type LeftCanaries, type LeftCanary } from "./left-canaries.ts";
import type { PriorValues } from "./prior-values.ts";
import { installedControlPlanes } from "./render-install.ts";

const classicComponent = /^(Ingress|Egress)Gateways$/;
type GatewayType = "ingress" | "eastWest" | "waypoint";

/** The types by the controller that a GatewayClass names. */
const typesByController: Readonly<Record<string, GatewayType>> = {
  "istio.io/gateway-controller": "ingress",
  "istio.io/eastwest-controller": "eastWest",
  "istio.io/mesh-controller": "waypoint",
};
/** Classes that need no GatewayClass object. */
const builtInTypes: Readonly<Record<string, GatewayType>> = {
  istio: "ingress",
  "istio-east-west": "eastWest",
  "istio-waypoint": "waypoint",
  "istio-mesh": "waypoint",
};

export interface GatewaySources {
  readonly client: KubeClient;
  readonly view: ClusterView;
  readonly upgrade: MeshUpgrade;
  readonly prior: PriorValues;
  readonly tags: ReadonlyMap<string, string>;
  readonly canaries: LeftCanaries;
}

/** All Gateways except those of the probes. Empty if the cluster has no Gateway API. */
export async function listGateways(client: KubeClient): Promise<readonly Gateway[]> {
  const gateways = await itemsIfServed(client.list(gatewayKind));
  return gateways
    .map(storedGateway)
    .filter(({ metadata }) => metadata.namespace !== probeNamespace && metadata.deletionTimestamp === undefined);
}

/**
 * The types by the name of the GatewayClass, for classes that a control plane of Istio serves. Users may have classes
 * of their own.
 */
async function gatewayTypes(client: KubeClient): Promise<ReadonlyMap<string, GatewayType>> {
  const classes = await itemsIfServed(client.list(gatewayClassKind));
  const types = new Map(Object.entries(builtInTypes));
  for (const { metadata, spec } of classes.map(storedGatewayClass)) {
    const type = ownField(typesByController, spec.controllerName);
    if (type !== undefined && metadata.name !== undefined && !types.has(metadata.name)) types.set(metadata.name, type);
  }
  return types;
}

/**
 * The Gateways in the upgrade's scope that the old revision owned when the upgrade began, because of their own label,
 * their namespace's, or the default tag. Also those that an earlier upgrade has moved without having removed their
 * canary.
 */
export async function observeGateways(sources: GatewaySources): Promise<GatewayInWorld[]> {
  const { client, view, upgrade, prior, tags, canaries } = sources;
  const { scope, from, to } = upgrade.spec;
  const listed = await listGateways(client);
  if (listed.length === 0) return [];
  const types = await gatewayTypes(client);
  const gateways = listed.flatMap((gateway) => {
    const type = types.get(gateway.spec.gatewayClassName);
    const isMoved = type === "waypoint" ? scope.waypoints : type !== undefined && scope.gateways;
    return isMoved ? [{ ...gateway, type }] : [];
  });
  if (gateways.length === 0) return [];
  const autoscaled = await autoscaledDeployments(client);
  return gateways
    .flatMap(({ metadata, type }): GatewayInWorld[] => {
      const { name = "", namespace = "" } = metadata;
      const object = reference("gateway.networking.k8s.io/v1", "Gateway", name, namespace);
      const label = prior.revisionLabel(object, metadata.labels);
      const named = view.namespaces.get(namespace);
      const ofNamespace = prior.revisionLabel(reference("v1", "Namespace", namespace), named?.metadata.labels);
      const revision = resolveRevision({ own: label, namespace: ofNamespace }, (name) => tags.get(name));
      const isMoved = revision === to.revision;
      if (revision !== from.revision && !isMoved) return [];
      const left = isMoved
        ? canaries.ofMovedGateway(object, metadata.annotations)
        : canaries.ofGateway(object, metadata.annotations);
      if (isMoved && left === undefined) return [];
      const deployments = view.deployments
        .list()
        .filter(
          (deployment) =>
            deployment.metadata.namespace === namespace &&
            deployment.metadata.labels?.[istioLabels.gatewayName] === name &&
            deployment.metadata.labels[canaryOfLabel] === undefined,
        )
        .map((deployment) => scaled(deployment, prior, autoscaled, type === "waypoint" ? undefined : left))
        .toSorted((a, b) => (a.name < b.name ? -1 : 1));
      // An east-west gateway has proxies only in a mesh with several networks.
      if (type === "eastWest" && deployments.length === 0) return [];
      return [
        {
          name,
          namespace,
          waypoint: type === "waypoint",
          ...(type === "eastWest" ? { eastWest: true } : {}),
          ...(label === undefined ? {} : { label }),
          followsNamespace: !isMoved && label === undefined && ofNamespace !== undefined,
          ...(isMoved ? { moved: true } : {}),
          deployments,
        },
      ];
    })
    .toSorted((a, b) => (`${a.namespace}/${a.name}` < `${b.namespace}/${b.name}` ? -1 : 1));
}

/**
 * The gateways of an installation that the old revision owned when the upgrade began, in the form that the new revision
 * installs. A gateway that the new installation does not include keeps its form and gets the new control plane. Also
 * those that an earlier upgrade has moved without having removed their canary.
 */
export async function observeClassicGateways(
  { client, view, upgrade, prior, canaries }: GatewaySources,
  installs: readonly (readonly UntypedObject[])[],
  partKinds: readonly KindDefinition[],
): Promise<ClassicGatewayInWorld[]> {
  const { from, to, scope } = upgrade.spec;
  if (!scope.gateways || from.revision === to.revision) return [];
  const revisionBefore = (object: ObjectReference, labels: Readonly<Record<string, string>> = {}): string =>
    prior.revisionLabel(object, labels) ?? "default";
  const rendered = new Map(installs.flat().map((body) => [`${body.kind ?? ""} ${nameOf(body)}`, body]));
  const classic = view.deployments.list().filter(({ metadata: { labels = {}, name = "", namespace } }) => {
    if (!classicComponent.test(labels[istioLabels.component] ?? "") || labels[canaryOfLabel] !== undefined)
      return false;
    const object = reference("apps/v1", "Deployment", name, namespace);
    const revision = revisionBefore(object, labels);
    return revision === from.revision || (revision === to.revision && canaries.besideMoved(object) !== undefined);
  });
  const operatorOf = await readOperators(client, classic);
  // Only gateways that no operator manages, because an operator would undo every change of its gateway.
  const owned = classic.filter((deployment) => operatorOf(deployment) === undefined);
  if (owned.length === 0) return [];
  const autoscaled = await autoscaledDeployments(client);
  const parts = await gatewayParts(client, partKinds, prior, from.revision);
  const planes = controlPlanes(view, upgrade, installs);
  return owned
    .toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1))
    .flatMap((found) => {
      const { name = "", namespace = "" } = found.metadata;
      const object = reference("apps/v1", "Deployment", name, namespace);
      const template = prior.value<unknown>(object, "/spec/template", found.spec?.template);
      const body =
        rendered.get(`Deployment ${nameOf(found)}`) ??
        (planes === undefined ? undefined : movedGateway(found as unknown as UntypedObject, template, planes));
      const app = found.metadata.labels?.["app"];
      const own = parts.filter(({ metadata }) => metadata.namespace === namespace && metadata.labels?.["app"] === app);
      if (body === undefined) return [];
      const readyCanaryPods = readyPodsOfCanary(view, namespace, name);
      const isMoved = revisionBefore(object, found.metadata.labels) === to.revision;
      const left = isMoved ? canaries.besideMoved(object) : canaries.beside(object);
      return [
        {
          namespace,
          deployment: scaled(found, prior, autoscaled, left),
          ...(isMoved ? { moved: true } : {}),
          body,
          parts: own.map(referenceTo),
          readyCanaryPods,
        },
      ];
    });
}

/** A pod that is ending does not count, although it stays ready for a while. */
function readyPodsOfCanary(view: ClusterView, namespace: string, gateway: string): number {
  return view.pods
    .list()
    .filter(
      (pod) =>
        pod.metadata.namespace === namespace &&
        pod.metadata.labels?.[canaryOfLabel] === gateway &&
        pod.metadata.deletionTimestamp === undefined &&
        isReady(pod),
    ).length;
}

/**
 * The Services, accounts, roles and other objects of the installation's gateways that have the old revision's label.
 */
async function gatewayParts(
  client: KubeClient,
  kinds: readonly KindDefinition[],
  prior: PriorValues,
  revision: string,
): Promise<UntypedObject[]> {
  const labelSelector = `${istioLabels.component} in (IngressGateways,EgressGateways),${revisionLabel}`;
  const lists = await Promise.all(kinds.map(async (kind) => (await client.list(kind, { labelSelector })).items));
  return (lists.flat() as UntypedObject[]).filter(
    (object) => prior.revisionLabel(referenceTo(object), object.metadata.labels) === revision,
  );
}

/** The control planes of both revisions, installed or rendered. Undefined if there is none of the new revision. */
function controlPlanes(
  view: ClusterView,
  { spec: { from, to } }: MeshUpgrade,
  installs: readonly (readonly UntypedObject[])[],
): ControlPlanes | undefined {
  const all = [...installedControlPlanes(installs), ...controlPlaneDeployments(view)] as readonly Deployment[];
  const pilotOf = (revision: string): Deployment | undefined =>
    all.find((deployment) => controlPlaneRevision(deployment) === revision);
  const imageOf = (pilot: Deployment | undefined): string | undefined =>
    pilot?.spec?.template.spec?.containers.find(({ name }) => name === "discovery")?.image;
  const next = pilotOf(to.revision);
  const previousImage = imageOf(pilotOf(from.revision));
  if (next === undefined) return undefined;
  return {
    from: from.revision,
    to: to.revision,
    next: { namespace: next.metadata.namespace ?? "", image: imageOf(next) ?? "" },
    ...(previousImage === undefined ? {} : { previousImage }),
  };
}

function nameOf({ metadata }: { readonly metadata: { readonly name?: string; readonly namespace?: string } }): string {
  return `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;
}

/**
 * A Deployment with the number of pods that its gateway is to have. `left`: the canary that an earlier upgrade has left
 * beside it.
 */
function scaled(
  { metadata, spec }: Deployment,
  prior: PriorValues,
  autoscaled: ReadonlySet<string>,
  left?: LeftCanary,
): ScaledDeployment {
  const { name = "", namespace = "" } = metadata;
  const isAutoscaled = autoscaled.has(`${namespace}/${name}`);
  const object = reference("apps/v1", "Deployment", name, namespace);
  const replicas = prior.value(object, "/spec/replicas", spec?.replicas ?? 1);
  return {
    name,
    replicas: isAutoscaled || left === undefined ? replicas : gatewayPods(replicas, left),
    ...(left === undefined ? {} : { left: { stable: replicas, canary: left.pods } }),
    autoscaled: isAutoscaled,
  };
}

async function autoscaledDeployments(client: KubeClient): Promise<ReadonlySet<string>> {
  const { items } = await client.list(horizontalPodAutoscalerKind);
  return new Set(
    items.flatMap(({ metadata, spec }) =>
      spec?.scaleTargetRef?.kind === "Deployment" ? [`${metadata.namespace ?? ""}/${spec.scaleTargetRef.name}`] : [],
    ),
  );
}
