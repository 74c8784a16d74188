import type { UntypedObject } from "../../api/index.ts";
import { type ObjectReference, ztunnelRevisionLabel } from "../../api/serin/index.ts";
import { type Random, invariant, seededRandom } from "../../base/index.ts";
import { type OperatedPart, enabledPointer } from "../decide/index.ts";
import {
  type MeshWorld,
  annotationPointer,
  labelPointer,
  reference,
  restartedForAnnotation,
  revisionLabel,
} from "../plan/index.ts";

export const gatewayKinds = ["operator", "helm", "byHand", "gatewayApi", "eastWest", "waypoint"] as const;

export type GatewayKind = (typeof gatewayKinds)[number];

export const dataPlanes = ["ambient", "sidecar", "both", "none"] as const;

/** The mesh of a simulated upgrade: one cell of the matrix. */
export interface SimMesh {
  readonly dataPlane: (typeof dataPlanes)[number];
  readonly gateways: readonly GatewayKind[];
  /** How namespaces name the old revision. */
  readonly by: "revision" | "tag";
  /** Whether the upgrade installs the new revision. Otherwise it exists already. */
  readonly installs: boolean;
  readonly ztunnelBy: "Pod" | "Namespace" | "Node";
  readonly weights: readonly number[];
  readonly replicas: number;
  readonly retire: "Automatic" | "Manual";
  /** Whether there is a proxy that no installer manages, so that only a person can move it. */
  readonly stranger: boolean;
  /** Whether the installation also has an egress gateway, as the profile `demo` does. */
  readonly egress?: boolean;
  /** Whether autoscalers change the number of pods of gateways and ambient workloads all the time. */
  readonly autoscaled?: boolean;
  /** Whether one more workload has a sidecar in its own template, as `kube-inject` writes it. */
  readonly kubeInject?: boolean;
  /** Whether one more workload has a sidecar and pods that are never ready. */
  readonly broken?: boolean;
  /**
   * The kind of the object from which an operator in the cluster installs the old revision. Absent without an operator.
   * An `Istio` of Banzai's operator brings no ztunnel.
   */
  readonly operator?: "IstioOperator" | "Istio";
}

export function meshOf(seed: number): SimMesh {
  const random = seededRandom(seed);
  const mesh: SimMesh = {
    dataPlane: one(random, dataPlanes),
    gateways: gatewayKinds.filter(() => random() < 0.4),
    by: one(random, ["revision", "tag"] as const),
    installs: random() < 0.6,
    ztunnelBy: one(random, ["Pod", "Namespace", "Node"] as const),
    weights: one(random, [[100], [50, 100], [10, 50, 100]] as const),
    replicas: one(random, [1, 2, 5] as const),
    retire: random() < 0.8 ? "Automatic" : "Manual",
    stranger: random() < 0.15,
    autoscaled: random() < 0.3,
    kubeInject: random() < 0.2,
  };
  if (random() >= 0.3) return mesh;
  return { ...mesh, operator: canBeOfBanzai(mesh) && random() < 0.5 ? "Istio" : "IstioOperator" };
}

/**
 * Whether Banzai's operator can have installed the mesh. It installs no ztunnel, and has no object for the new revision
 * that an upgrade could write.
 */
export function canBeOfBanzai({ dataPlane, installs }: Pick<SimMesh, "dataPlane" | "installs">): boolean {
  return (dataPlane === "sidecar" || dataPlane === "none") && !installs;
}

function one<Value>(random: Random, values: readonly Value[]): Value {
  const found = values[Math.floor(random() * values.length)];
  invariant(found !== undefined, "no values to choose from");
  return found;
}

export const system = "istio-system";

/**
 * The namespace of the new control planes. It differs from that of the old ones, so an upgrade must change both the
 * name and the namespace of the Service in a webhook.
 */
const nextSystem = "istio-next";

const isNext = (revision: string): boolean => revision.startsWith("new-");

export const tagPointer = "/webhooks/0/clientConfig/service";

export const rev = labelPointer(revisionLabel);

export const ztunnelRev = labelPointer(ztunnelRevisionLabel);

/** The names of an upgrade's revisions, and of the objects that it may change. */
export function meshNames(name: string) {
  return {
    from: `old-${name}`,
    to: `new-${name}`,
    tag: `stable-${name}`,
    node: reference("v1", "Node", `node-${name}`),
    injector: reference("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", `tag-${name}`),
    stranger: reference("v1", "Machine", `machine-${name}`, system),
    operator: (kind: "IstioOperator" | "Istio") =>
      reference(
        kind === "Istio" ? "istio.banzaicloud.io/v1beta1" : "install.istio.io/v1alpha1",
        kind,
        `mesh-${name}`,
        system,
      ),
    istiod: (revision: string) =>
      reference("apps/v1", "Deployment", `istiod-${revision}`, isNext(revision) ? nextSystem : system),
    ztunnel: (revision: string) =>
      reference("apps/v1", "DaemonSet", `ztunnel-${revision}`, isNext(revision) ? nextSystem : system),
  };
}

export interface SimUpgrade {
  readonly name: string;
  readonly moves?: readonly string[];
  readonly mesh?: SimMesh;
}

export const isSidecar = (mesh: SimMesh, index: number): boolean =>
  mesh.dataPlane === "sidecar" || (mesh.dataPlane === "both" && index === 0);

export const isAmbient = (mesh: SimMesh, index: number): boolean =>
  mesh.dataPlane === "ambient" || (mesh.dataPlane === "both" && index > 0);

/** The objects before the upgrade, with the fields that it may change. */
export function meshBefore({ name, moves = [], mesh }: SimUpgrade): [ObjectReference, Record<string, unknown>][] {
  if (mesh === undefined) return [];
  const names = meshNames(name);
  const found: [ObjectReference, Record<string, unknown>][] = [
    [names.istiod(names.from), {}],
    [names.injector, { [tagPointer]: serviceOf(names.istiod(names.from)) }],
    [names.node, {}],
  ];
  if (!mesh.installs) found.push([names.istiod(names.to), {}]);
  if (hasAmbient(mesh, moves)) {
    found.push([names.ztunnel(names.from), {}]);
    if (!mesh.installs) found.push([names.ztunnel(names.to), {}]);
  }
  if (mesh.stranger) found.push([names.stranger, { [rev]: names.from }]);
  if (mesh.operator !== undefined) {
    const lacksZtunnel = mesh.operator === "IstioOperator" && !hasAmbient(mesh, moves);
    found.push([names.operator(mesh.operator), lacksZtunnel ? { [enabledPointer("ztunnel")]: false } : {}]);
  }
  moves.forEach((namespace, index) => {
    found.push([reference("v1", "Namespace", namespace), isSidecar(mesh, index) ? { [rev]: labelOf(name, mesh) } : {}]);
    for (const workload of workloadsOf({ name, mesh }, namespace, index))
      found.push([workload.object, workload.byPodLabel ? { [podRev]: names.from } : {}]);
    if (isAmbient(mesh, index)) for (const pod of podsOf(name, namespace)) found.push([pod, {}]);
  });
  const [first = "a"] = moves;
  for (const kind of mesh.gateways.filter(isApi)) {
    found.push([apiGateway(name, kind, first), { [rev]: names.from }]);
    found.push([stableOf(name, kind, first), { "/spec/replicas": mesh.replicas }]);
  }
  for (const gateway of classicNames(name, mesh))
    found.push([
      classicReference(gateway),
      { "/spec/replicas": mesh.replicas, "/spec/template": classicBody(gateway, names.from), [rev]: names.from },
    ]);
  return found;
}

export function hasAmbient(mesh: SimMesh, moves: readonly string[]): boolean {
  return moves.some((_namespace, index) => isAmbient(mesh, index));
}

export function labelOf(name: string, mesh: SimMesh): string {
  return mesh.by === "tag" ? meshNames(name).tag : meshNames(name).from;
}

export const podRev = `/spec/template${rev}`;

export const restartPointer = `/spec/template${annotationPointer(restartedForAnnotation)}`;

/**
 * The workloads of a namespace. Gateways that helm or a person has installed are workloads with an injected proxy, and
 * move in a wave.
 */
export function workloadsOf(
  { name, mesh }: { readonly name: string; readonly mesh: SimMesh },
  namespace: string,
  index: number,
): { readonly object: ObjectReference; readonly byPodLabel: boolean }[] {
  const sidecars = isSidecar(mesh, index);
  const deployment = (prefix: string) =>
    reference("apps/v1", "Deployment", `${prefix}-${namespace}-${name}`, namespace);
  const injected = index === 0 ? mesh.gateways.filter((kind) => kind === "helm" || kind === "byHand") : [];
  return [
    ...(sidecars ? [{ object: deployment("work"), byPodLabel: false }] : []),
    ...(sidecars && mesh.broken === true ? [{ object: deployment("broken"), byPodLabel: false }] : []),
    ...injected.map((kind) => ({ object: deployment(kind), byPodLabel: !sidecars || kind === "byHand" })),
    ...(index === 0 && mesh.kubeInject === true ? [{ object: deployment("kubeInject"), byPodLabel: true }] : []),
  ];
}

/** Whether a Deployment of the model has pods with an injected proxy. */
export function isSidecarWorkload(name: string): boolean {
  return /^(work|broken|helm|byHand|kubeInject)-/.test(name);
}

/** Whether the workload's pods are never ready, before the upgrade and after it. */
export function isBroken({ name }: Pick<ObjectReference, "name">): boolean {
  return name.startsWith("broken-");
}

export interface InstalledPart {
  readonly component: OperatedPart;
  readonly object: ObjectReference;
}

export interface OperatedMesh {
  readonly operator: ObjectReference;
  readonly parts: readonly InstalledPart[];
}

export function operatedMesh({ name, moves = [], mesh }: SimUpgrade): OperatedMesh | undefined {
  if (mesh?.operator === undefined) return undefined;
  const names = meshNames(name);
  const ztunnel: InstalledPart = { component: "ztunnel", object: names.ztunnel(names.from) };
  return {
    operator: names.operator(mesh.operator),
    parts: [
      { component: "pilot", object: names.istiod(names.from) },
      ...(mesh.operator === "IstioOperator" && hasAmbient(mesh, moves) ? [ztunnel] : []),
    ],
  };
}

/** The objects that a retirement deletes, and the operator's object that it changes instead of the operator's parts. */
export function retiredParts(
  sim: SimUpgrade & { readonly mesh: SimMesh },
  parts: readonly ObjectReference[],
): Pick<MeshWorld, "retirable" | "owners"> {
  const operated = operatedMesh(sim);
  if (operated === undefined) return { retirable: parts };
  const { operator, parts: own } = operated;
  const components = own.map(({ component }) => component);
  return {
    retirable: parts.filter((part) => own.every(({ object }) => object.name !== part.name)),
    owners: [operator.kind === "IstioOperator" ? { object: operator, components } : { object: operator }],
  };
}

export const podNames = ["one", "two", "three"] as const;

export function podsOf(name: string, namespace: string): ObjectReference[] {
  return podNames.map((pod) => reference("v1", "Pod", `${pod}-${name}`, namespace));
}

export function isApi(kind: GatewayKind): boolean {
  return kind === "gatewayApi" || kind === "eastWest" || kind === "waypoint";
}

export function apiGateway(name: string, kind: GatewayKind, namespace: string): ObjectReference {
  return reference("gateway.networking.k8s.io/v1", "Gateway", `${kind}-${name}`, namespace);
}

export function stableOf(name: string, kind: GatewayKind, namespace: string): ObjectReference {
  return reference("apps/v1", "Deployment", `${kind}-${name}-istio`, namespace);
}

export function classicNames(name: string, { gateways, egress = false }: SimMesh): string[] {
  if (!gateways.includes("operator")) return [];
  return egress ? [name, `egress-${name}`] : [name];
}

export function classicReference(name: string): ObjectReference {
  return reference("apps/v1", "Deployment", `ingressgateway-${name}`, system);
}

export function classicBody(name: string, revision: string): UntypedObject["spec"] {
  return { metadata: { labels: { gateway: name, [revisionLabel]: revision } } };
}

export function gatewayObjects({ name, moves = [], mesh }: SimUpgrade): ObjectReference[] {
  if (mesh === undefined) return [];
  const [first = "a"] = moves;
  return [
    ...mesh.gateways.filter(isApi).map((kind) => apiGateway(name, kind, first)),
    ...classicNames(name, mesh).map(classicReference),
  ];
}

export interface SimService {
  readonly name: string;
  readonly namespace: string;
}

export function serviceOf({ name, namespace = "" }: ObjectReference): SimService {
  return { name, namespace };
}
