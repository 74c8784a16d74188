import { ztunnelRevisionLabel, type MeshUpgrade, type ObjectReference } from "../../../api/serin/index.ts";
import type { MeshWorld } from "./mesh-world.ts";
import { injectionLabel, restartedForAnnotation, revisionLabel } from "./sidecar-steps.ts";
import { plannedWaves } from "./waves.ts";

/**
 * Why `kubectl rollout restart` does not replace a workload's pods: a paused Deployment, a Deployment that a Canary
 * holds, the update strategy OnDelete, or a StatefulSet whose partition leaves pods out.
 */
export type RestartObstacle = "paused" | "held" | "OnDelete" | "partition";

export interface Dependent {
  readonly type:
    | "sidecar"
    | "ztunnel"
    | "gateway"
    | "installedGateway"
    | "ownedGateway"
    | "proxy"
    | "tag"
    | "validator"
    | "machine"
    | "namespace"
    | "gatewayLabel";
  readonly name: string;
  readonly namespace?: string;
  readonly workload?: ObjectReference;
  /** Why a restart of the workload does not replace the pod. Absent if it does. */
  readonly restartObstacle?: RestartObstacle;
  /**
   * Why no wave moves the pod with its sidecar: a text about the revision that the labels of the pod's namespace
   * select. Absent if a wave may move the pod.
   */
  readonly ledElsewhere?: string;
  /**
   * The labels of the pod's namespace already select the new revision for new pods, for example by a tag that has
   * moved.
   */
  readonly isLed?: boolean;
  /** The tag that its namespace follows. A step of the upgrade moves the tag to the new revision. */
  readonly movedTag?: string;
  /** No label of its namespace or of the pod chooses an injector, so a restart removes its sidecar. */
  readonly isOutside?: boolean;
  /** The object from which an operator writes the workload. */
  readonly owner?: ObjectReference;
  /** The id of the pod's proxy: `<pod>.<namespace>`. */
  readonly proxy?: string;
  readonly text: string;
  /** The time by which the pod has ended, if it is ending already. Then nobody has to move it. */
  readonly endsBy?: string;
}

/** Explains to a person how to move a dependent that no step moves. */
export function howToMove(dependent: Dependent, to: string): string {
  const { type, name, namespace = "" } = dependent;
  const wave = `let a wave of spec.waves select namespace ${namespace}`;
  switch (type) {
    case "sidecar":
      return dependent.movedTag === undefined
        ? howToMoveSidecar(dependent, to)
        : `once the upgrade has moved the tag ${dependent.movedTag}, ${howToMoveSidecar({ ...dependent, isLed: true }, to)}`;
    case "ztunnel":
      return `${wave}, or: kubectl label --overwrite namespace ${namespace} ${ztunnelRevisionLabel}=${to}`;
    case "gateway":
    case "gatewayLabel":
      return `kubectl -n ${namespace} label --overwrite gateways.gateway.networking.k8s.io ${name} ${revisionLabel}=${to}`;
    case "installedGateway":
      return `set spec.scope.gateways: true, or install ${namespace}/${dependent.workload?.name ?? name} with revision ${to}`;
    case "ownedGateway":
      return howToMoveOwned(dependent, to);
    case "proxy":
      return `connect it to the control plane of ${to}, or end it`;
    case "tag":
      return `serin tag set ${name} --revision ${to} --overwrite`;
    case "validator":
      return `serin tag set default --revision ${to} --overwrite`;
    case "machine":
      return `connect the machine to the control plane of ${to}, and restart its agent`;
    case "namespace":
      return `kubectl label --overwrite namespace ${name} ${revisionLabel}=${to}`;
  }
}

/** An operator undoes changes by others, so only a change of the operator's own object moves the gateway. */
function howToMoveOwned({ name, namespace = "", owner }: Dependent, to: string): string {
  const dot = to.lastIndexOf(".");
  if (owner?.kind !== "MeshGateway" || dot < 0)
    return `make it a gateway of ${to} in ${owner?.kind ?? "its owner"} ${owner?.namespace ?? namespace}/${owner?.name ?? name}, whose operator writes it`;
  const patch = { spec: { istioControlPlane: { name: to.slice(0, dot), namespace: to.slice(dot + 1) } } };
  return `kubectl -n ${namespace} patch meshgateways.istio.banzaicloud.io ${owner.name} --type=merge -p '${JSON.stringify(patch)}'`;
}

/**
 * How to replace the pods of a Deployment that a Canary holds: by a change of its template, which the Canary rolls out.
 * kubectl refuses to restart a paused Deployment, and `kubectl rollout resume` would roll it out without the Canary.
 * `purpose` is any text that the template does not contain yet.
 */
export function howToRestartHeld(namespace: string, name: string, purpose: string): string {
  const annotations = { [restartedForAnnotation]: purpose };
  const patch = JSON.stringify({ spec: { template: { metadata: { annotations } } } });
  return `kubectl -n ${namespace} patch deployment ${name} -p '${patch}'`;
}

/** Kinds that `kubectl rollout restart` refuses, but whose controllers replace a deleted pod. */
const recreatesDeletedPods: ReadonlySet<string> = new Set(["ReplicaSet", "ReplicationController"]);

function howToMoveSidecar(dependent: Dependent, to: string): string {
  const { name, namespace = "", workload, restartObstacle, ledElsewhere, isLed = false } = dependent;
  const kind = workload?.kind ?? "Pod";
  const restarted = `${kind.toLowerCase()}/${workload?.name ?? ""}`;
  if (dependent.isOutside === true && kind !== "Job") return howToTakeOut(dependent, restarted);
  const label = `kubectl label --overwrite namespace ${namespace} ${revisionLabel}=${to} ${injectionLabel}-`;
  // If the namespace is led to the new revision by its tag, it needs no label: a label would only override the tag.
  const first = isLed ? "" : `${label} && `;
  if (kind === "Pod")
    return `create it again${isLed ? "" : `, once its namespace names ${to}`}: kubectl -n ${namespace} delete pod ${name}`;
  if (kind === "Job")
    return `let it end, or: kubectl -n ${namespace} delete job ${workload?.name ?? ""}, and create it again`;
  if (recreatesDeletedPods.has(kind) || restartObstacle === "OnDelete" || restartObstacle === "partition")
    return `delete it, and its ${kind} creates it again: ${first}kubectl -n ${namespace} delete pod ${name}`;
  if (restartObstacle === "held")
    return `its Canary holds it, so change its pod template to let the Canary move it: ${first}${howToRestartHeld(namespace, workload?.name ?? "", to)}`;
  if (restartObstacle === "paused")
    return `resume its ${kind}, then restart it: ${first}kubectl -n ${namespace} rollout resume ${restarted} && kubectl -n ${namespace} rollout restart ${restarted}`;
  if (kind === "Deployment" || kind === "StatefulSet" || kind === "DaemonSet") {
    const wave = isLed
      ? "restart it"
      : ledElsewhere === undefined
        ? `let a wave of spec.waves select namespace ${namespace}, or`
        : `no wave moves it, because ${ledElsewhere}`;
    return `${wave}: ${first}kubectl -n ${namespace} rollout restart ${restarted}`;
  }
  return `restart ${kind} ${workload?.name ?? ""} with its own tool${isLed ? "" : `, once its namespace names ${to}: ${label}`}`;
}

/** A pod of a namespace that has left the mesh keeps its sidecar until it is replaced. */
function howToTakeOut({ name, namespace = "", workload, restartObstacle }: Dependent, restarted: string): string {
  const out = `namespace ${namespace} has left the mesh, and a new pod has no sidecar`;
  if (restartObstacle === "held") return `${out}: ${howToRestartHeld(namespace, workload?.name ?? "", "none")}`;
  const isRestartable = /^(Deployment|StatefulSet|DaemonSet)$/.test(workload?.kind ?? "");
  return isRestartable && restartObstacle === undefined
    ? `${out}: kubectl -n ${namespace} rollout restart ${restarted}`
    : `${out}: kubectl -n ${namespace} delete pod ${name}`;
}

/** The dependents of the old revision that no step of the upgrade moves. */
export function leftBehind(
  upgrade: MeshUpgrade,
  world: MeshWorld,
  dependents: readonly Dependent[],
): readonly Dependent[] {
  const { scope, ztunnel } = upgrade.spec;
  const selected = plannedWaves(upgrade, world).flatMap(({ namespaces }) => namespaces);
  const wholeNamespaces = new Set(selected.filter((namespace) => namespace.isWhole).map(({ name }) => name));
  const workloads = new Set(
    scope.namespaces
      ? selected.flatMap((namespace) => namespace.workloads.map(({ object }) => keyOf(object.kind, object)))
      : [],
  );
  const injected = new Set(selected.filter(({ injection }) => injection !== undefined).map(({ name }) => name));
  const gateways = new Set(world.gateways.map((gateway) => keyOf("Gateway", gateway)));
  const installed = new Set(
    world.classicGateways
      .filter(({ deployment }) => deployment.replicas > 0)
      .map(({ namespace, deployment }) => keyOf("Deployment", { namespace, name: deployment.name })),
  );
  const tags = new Set(world.tags.map(({ tag }) => tag));
  const moves = (dependent: Dependent): boolean => {
    const { type, name, namespace = "", workload } = dependent;
    switch (type) {
      case "sidecar":
        return workload !== undefined && workloads.has(keyOf(workload.kind, workload));
      case "ztunnel":
        return scope.ztunnel && (ztunnel.by === "Node" || wholeNamespaces.has(namespace));
      case "gateway":
      case "gatewayLabel":
        return gateways.has(keyOf("Gateway", dependent));
      case "installedGateway":
        return workload !== undefined && installed.has(keyOf("Deployment", workload));
      case "tag":
        return tags.has(name);
      case "validator":
        return tags.has("default");
      case "namespace":
        return scope.namespaces && wholeNamespaces.has(name) && injected.has(name);
      case "ownedGateway":
      case "proxy":
      case "machine":
        return false;
    }
  };
  const movedTags = movedTagsOf(upgrade, world);
  return dependents
    .filter((dependent) => !moves(dependent))
    .map((dependent) => {
      const movedTag = movedTags.get(dependent.namespace ?? "");
      return dependent.type !== "sidecar" || movedTag === undefined ? dependent : { ...dependent, movedTag };
    });
}

/** The tag that each namespace follows, if the upgrade moves it. `istio-injection` follows the tag `default`. */
function movedTagsOf({ spec }: MeshUpgrade, { namespaces, tags }: MeshWorld): ReadonlyMap<string, string> {
  const moved = new Set(spec.scope.tags ? tags.map(({ tag }) => tag) : []);
  return new Map(
    namespaces.flatMap(({ name, injection }) => {
      const tag = injection?.tag ?? (injection?.label === injectionLabel ? "default" : undefined);
      return tag !== undefined && moved.has(tag) ? [[name, tag] as const] : [];
    }),
  );
}

function keyOf(kind: string, { namespace = "", name }: { readonly namespace?: string; readonly name: string }): string {
  return `${kind} ${namespace}/${name}`;
}
