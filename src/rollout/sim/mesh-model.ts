import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { givesBackRevision, isWorkload, mustRun, partGivenBack } from "../act/undo-order.ts";
import {
  enabledPointer,
  referenceKey,
  type OperatedPart,
  type SettleCondition,
  type SettleState,
} from "../decide/index.ts";
import { reference, revisionLabel } from "../plan/index.ts";
import type { ModelObject } from "./model-object.ts";
import {
  classicReference,
  isSidecarWorkload,
  meshNames,
  podRev,
  rev,
  tagPointer,
  type OperatedMesh,
  serviceOf,
} from "./sim-mesh.ts";
import {
  calledBy,
  canaryReplicas,
  canaryRevision,
  countOf,
  ownerOf,
  readyPodsOf,
  isRestartedFor,
  type MeshObjects,
} from "./mesh-in-world.ts";

export interface MeshCluster extends MeshObjects {
  readonly controlPlaneUp: boolean;
  readonly withoutBudget: ReadonlySet<string>;
  readonly objects: ReadonlyMap<string, ModelObject>;
  readonly injected: ReadonlyMap<string, unknown>;
}

export interface OperatedCluster extends MeshCluster {
  readonly operated: readonly OperatedMesh[];
  readonly operatorsRead: ReadonlyMap<string, boolean>;
}

const budgetToDo = "let the budget allow it, or scale the workload up, and the upgrade continues";
const noControlPlane = "no control plane is ready";

export function meshState(cluster: MeshCluster, condition: SettleCondition): SettleState {
  if (condition.type === "workloadRevision") return workloadState(cluster, condition);
  const detail = meshReason(cluster, condition);
  if (detail === undefined) return { state: "met" };
  const toDo = condition.type === "revisionServes" ? condition.toDo : undefined;
  return { state: "waiting", detail, ...(toDo === undefined ? {} : { obstacle: { toDo } }) };
}

/** Why the condition is not met. Undefined if it is met. Conditions that the model does not know are always met. */
function meshReason(cluster: MeshCluster, condition: SettleCondition): string | undefined {
  switch (condition.type) {
    case "ready":
      return notReady(cluster, condition.object);
    case "podReady":
      return notReady(cluster, condition.object);
    case "acknowledged":
      return cluster.controlPlaneUp ? undefined : noControlPlane;
    case "revisionServes":
    case "notRejected":
      return cluster.controlPlaneUp && runs(cluster, istiodOf(condition.revision)) ? undefined : noControlPlane;
    case "revisionFree":
      return undefined;
    case "owner":
      return condition.object.namespace === "serin-probes" || ownerOf(cluster, condition.object) === condition.revision
        ? undefined
        : `${condition.object.name} is owned by ${ownerOf(cluster, condition.object)}`;
    case "readyPods":
      return readyPodsReason(cluster, condition);
    case "gone":
      return cluster.find(condition.object) === undefined && gatewayOfCanary(cluster, condition.object) === undefined
        ? undefined
        : `${condition.object.name} is still there`;
    case "podsGone": {
      const { app = "", [revisionLabel]: revision = "" } = condition.labels;
      const object = app === "istiod" ? istiodOf(revision) : meshNames("").ztunnel(revision);
      return cluster.find(object) === undefined ? undefined : `${object.name} is still there`;
    }
    case "tagServes": {
      const { injector } = meshNames(condition.tag.slice("stable-".length));
      return calls(cluster, injector, condition.revision)
        ? undefined
        : `a dry-run pod of tag ${condition.tag} is refused`;
    }
    case "noDependents":
      return dependentsReason(cluster, condition);
    default:
      return undefined;
  }
}

function istiodOf(revision: string): ObjectReference {
  return meshNames("").istiod(revision);
}

function runs(cluster: MeshCluster, object: ObjectReference): boolean {
  const found = cluster.find(object);
  return found !== undefined && cluster.nowMs >= found.readyAtMs;
}

export function notReady(cluster: MeshCluster, object: ObjectReference): string | undefined {
  const gateway = gatewayOfCanary(cluster, object);
  const isReady = runs(cluster, object) || (gateway !== undefined && canaryRuns(cluster, gateway));
  return isReady ? undefined : `${object.name} is not ready`;
}

function canaryRuns(cluster: MeshCluster, { canaryReadyAtMs }: ModelObject): boolean {
  return canaryReadyAtMs !== undefined && cluster.nowMs >= canaryReadyAtMs;
}

/** The Gateway whose control plane runs this canary Deployment. The model has no object for that Deployment. */
function gatewayOfCanary(cluster: MeshCluster, { kind, name, namespace }: ObjectReference): ModelObject | undefined {
  const parts = kind === "Deployment" ? /^(.+)-istio-(new-.+)$/.exec(name) : null;
  if (parts === null) return undefined;
  const gateway = cluster.find(reference("gateway.networking.k8s.io/v1", "Gateway", parts[1] ?? "", namespace));
  return gateway?.fields.get(canaryRevision) === parts[2] ? gateway : undefined;
}

function workloadState(
  cluster: MeshCluster,
  { object, revision, mark, withinMs }: Extract<SettleCondition, { type: "workloadRevision" }>,
): SettleState {
  const awaited = [...cluster.objects.values()].filter(
    ({ reference: { kind, name, namespace } }) =>
      kind === "Deployment" &&
      (object.kind === "Namespace"
        ? namespace === object.name && isSidecarWorkload(name)
        : name === object.name && namespace === object.namespace),
  );
  const late = awaited.filter(
    (workload) =>
      cluster.nowMs < workload.readyAtMs || cluster.injected.get(referenceKey(workload.reference)) !== revision,
  );
  const [first] = late;
  if (first === undefined) return { state: "met" };
  // All pods that have not moved wait for the budget, so none counts as late.
  if (cluster.withoutBudget.has(first.reference.namespace ?? ""))
    return { state: "waiting", detail: "a PodDisruptionBudget allows no restart", obstacle: { toDo: budgetToDo } };
  const sinceMs = ({ startedAtMs }: ModelObject): number => cluster.nowMs - startedAtMs;
  const failed = late.find((workload) => isRestartedFor(workload, revision, mark) && sinceMs(workload) > withinMs);
  const detail = `Deployment ${(failed ?? first).reference.name} is not at ${revision}`;
  return failed === undefined
    ? { state: "waiting", detail }
    : { state: "failed", detail: `${detail} ${Math.round(sinceMs(failed) / 1000)} s after its restart` };
}

function readyPodsReason(
  cluster: MeshCluster,
  { labels, namespace, without, atLeast }: Extract<SettleCondition, { type: "readyPods" }>,
): string | undefined {
  const revision = labels["istio.io/rev"] ?? "";
  const api = labels["gateway.networking.k8s.io/gateway-name"];
  const object =
    api === undefined
      ? classicReference(labels["gateway"] ?? "")
      : reference("gateway.networking.k8s.io/v1", "Gateway", api, namespace);
  const { stable, canary } = gatewayPods(cluster, object, revision);
  const ready = stable + (without === undefined ? canary : 0);
  return ready >= atLeast ? undefined : `${ready} of ${atLeast} pods are ready`;
}

/**
 * The numbers of a gateway's ready pods: those of one revision, or all. `canary`: the pods of its second Deployment.
 */
export function gatewayPods(
  cluster: MeshCluster,
  object: ObjectReference,
  revision?: string,
): { readonly stable: number; readonly canary: number } {
  const found = cluster.find(object);
  if (found === undefined) return { stable: 0, canary: 0 };
  const [own, second] =
    object.kind === "Gateway"
      ? [
          cluster.find(reference("apps/v1", "Deployment", `${object.name}-istio`, object.namespace)),
          found.fields.get(canaryRevision) === undefined ? undefined : found,
        ]
      : [found, secondOf(cluster, object)];
  const isOf = (value: unknown): boolean => revision === undefined || value === revision;
  // While a Deployment rolls, some of its ready pods are old, so none counts for the new revision.
  const ofStable = found.fields.get(rev);
  const rolls = object.kind === "Gateway" && cluster.nowMs < found.readyAtMs && revision !== undefined;
  const stable = isOf(ofStable) && !rolls ? readyPodsOf(cluster, own) : 0;
  if (second !== found) return { stable, canary: readyPodsOf(cluster, second) };
  const serves = canaryRuns(cluster, found) && isOf(found.fields.get(canaryRevision));
  return { stable, canary: serves ? countOf(found.fields.get(canaryReplicas)) : 0 };
}

/** Whether the Deployment is a canary that the upgrade has made beside an installed gateway. */
function isSecond({ name }: ObjectReference): boolean {
  return /^ingressgateway-.+-new-/.test(name);
}

function secondOf(cluster: MeshCluster, { name, namespace }: ObjectReference): ModelObject | undefined {
  return [...cluster.objects.values()].find(
    ({ reference: one }) => one.namespace === namespace && one.name.startsWith(`${name}-new-`),
  );
}

function dependentsReason(
  cluster: MeshCluster,
  { revision, to }: Extract<SettleCondition, { type: "noDependents" }>,
): string | undefined {
  const found = [...cluster.objects.values()].flatMap(({ reference: object, fields }): string[] => {
    if (isSidecarWorkload(object.name) && cluster.injected.get(referenceKey(object)) === revision)
      return [`pod of ${object.name}`];
    if (object.kind === "Pod" && object.namespace !== "serin-probes" && isOfUpgrade(object, revision))
      return ownerOf(cluster, object) === revision ? [`pod ${object.name} (its ztunnel)`] : [];
    const isLed = fields.has(tagPointer) && calls(cluster, object, revision);
    if (isLed && followsTag(cluster, object)) return [`tag ${object.name}`];
    return ["Gateway", "Machine", "Deployment", "Namespace"].includes(object.kind) && fields.get(rev) === revision
      ? [`${object.kind} ${object.name}`]
      : [];
  });
  return found.length === 0
    ? undefined
    : `${found.length} still depend on ${revision}, and no step moves them, so a person must: ${found.join("; ")}: point it to ${to}`;
}

function isOfUpgrade({ name }: ObjectReference, revision: string): boolean {
  return revision === meshNames(name.slice(name.lastIndexOf("-") + 1)).from;
}

/** Whether an object follows the tag. Otherwise the tag has no effect. */
function followsTag(cluster: MeshCluster, { name }: ObjectReference): boolean {
  const tag = `stable${name.slice("tag".length)}`;
  return [...cluster.objects.values()].some(({ fields }) => fields.get(rev) === tag);
}

/**
 * The revision that injects a workload's new pods: that of the workload's own label or of its namespace's. Tags are
 * resolved.
 */
export function injectingRevision(cluster: MeshCluster, { fields, reference: object }: ModelObject): unknown {
  const namespace = cluster.find(reference("v1", "Namespace", object.namespace ?? ""));
  const labelled = fields.get(podRev) ?? namespace?.fields.get(rev);
  const upgrade = /^stable-(.+)$/.exec(String(labelled))?.[1];
  if (upgrade === undefined) return labelled;
  const { injector } = meshNames(upgrade);
  const called = calledBy(cluster, injector);
  const revision = called.name.slice("istiod-".length);
  // If the webhook calls a Service that does not exist, the API server refuses the pods.
  return calls(cluster, injector, revision) ? revision : `nobody at ${called.namespace}/${called.name}`;
}

function calls(cluster: MeshCluster, injector: ObjectReference, revision: string): boolean {
  return jsonEqualWithoutNulls(calledBy(cluster, injector), serviceOf(istiodOf(revision)));
}

/** Models `heldByGateway` of the observer. */
export function heldByGateway(
  cluster: MeshCluster,
  entry: Extract<JournalEntry, { type: "field" }>,
  found: unknown,
): string | undefined {
  const { object, pointer, prior } = entry;
  const gateway = gatewayOfStable(cluster, object);
  const isLess = prior === undefined || Number(prior) < Number(found);
  if (object.kind === "Gateway" && isLess && (pointer === canaryRevision || pointer === canaryReplicas))
    return stableMissing(cluster, object);
  if (gateway !== undefined && isLess && pointer === "/spec/replicas" && !isSecond(object))
    return gatewayPods(cluster, gateway).canary === 0 ? `the canary of ${object.name} is not ready` : undefined;
  return undefined;
}

/**
 * Why the gateway's own Deployment cannot take over yet: its control plane has not moved it to the gateway's revision,
 * or it has no ready pods.
 */
function stableMissing(cluster: MeshCluster, gateway: ObjectReference): string | undefined {
  const revision = cluster.find(gateway)?.fields.get(rev);
  const stable = reference("apps/v1", "Deployment", `${gateway.name}-istio`, gateway.namespace);
  const isRevision = typeof revision === "string" && cluster.find(istiodOf(revision)) !== undefined;
  if (isRevision && templateRevision(cluster, stable) !== revision) return `${stable.name} is not yet at ${revision}`;
  return gatewayPods(cluster, gateway).stable === 0 ? `the Deployment of ${gateway.name} is not ready` : undefined;
}

/** The gateway to which a Deployment belongs that is not a canary. */
function gatewayOfStable(cluster: MeshCluster, object: ObjectReference): ObjectReference | undefined {
  if (object.kind !== "Deployment") return undefined;
  if (object.name.startsWith("ingressgateway-")) return object;
  const name = /^(.+)-istio$/.exec(object.name)?.[1];
  if (name === undefined) return undefined;
  return cluster.find(reference("gateway.networking.k8s.io/v1", "Gateway", name, object.namespace))?.reference;
}

/**
 * The revision of the pods that a gateway's Deployment makes. Undefined for a moment after the gateway's revision has
 * changed, while its control plane changes the template.
 */
export function templateRevision(cluster: MeshCluster, deployment: ObjectReference): unknown {
  const gateway = gatewayOfStable(cluster, deployment);
  const found = gateway === undefined ? undefined : cluster.find(gateway);
  return found === undefined || cluster.nowMs < found.readyAtMs ? undefined : found.fields.get(rev);
}

export function notServing(cluster: OperatedCluster, entry: JournalEntry): string | undefined {
  if (givesBackRevision(entry)) return notInstalled(cluster, entry);
  return mustRun(entry) || (entry.type === "deleted" && isWorkload(entry))
    ? notReady(cluster, entry.object)
    : undefined;
}

/**
 * Whether this is a ztunnel whose control plane is not ready, so that the ztunnel cannot become ready. Undefined if the
 * object is no ztunnel.
 */
export function lacksPilot(cluster: MeshCluster, { kind, name }: ObjectReference): boolean | undefined {
  const revision = kind === "DaemonSet" ? /^ztunnel-(.+)$/.exec(name)?.[1] : undefined;
  return revision === undefined ? undefined : !runs(cluster, istiodOf(revision));
}

export function isInstalled(cluster: MeshObjects, { operator }: OperatedMesh, component: OperatedPart): boolean {
  const found = cluster.find(operator);
  return found !== undefined && found.fields.get(enabledPointer(component)) !== false;
}

/**
 * Why the part that an operator installs from the entry's object does not run again yet, or will be removed once more.
 */
function notInstalled(cluster: OperatedCluster, entry: JournalEntry): string | undefined {
  const own = cluster.operated.find(({ operator }) => referenceKey(operator) === referenceKey(entry.object));
  const missing = own?.parts.find(
    ({ component, object }) =>
      component === partGivenBack(entry) &&
      (cluster.operatorsRead.get(referenceKey(object)) === false || !runs(cluster, object)),
  );
  return missing === undefined ? undefined : `${missing.object.name} is not installed again`;
}

/** Why an object that the run created must stay: pods still need it. */
export function stillServes(cluster: MeshCluster, { kind, name }: ObjectReference): string | undefined {
  const revision = /^(?:istiod|ztunnel)-(new-.+)$/.exec(name)?.[1];
  if (revision === undefined) return undefined;
  if (kind === "DaemonSet") {
    const owned = [...cluster.objects.values()].find(
      ({ reference: object }) =>
        object.kind === "Pod" && object.namespace !== "serin-probes" && ownerOf(cluster, object) === revision,
    );
    return owned === undefined ? undefined : `${owned.reference.name} is still owned by ztunnel ${revision}`;
  }
  return [...cluster.injected.values()].includes(revision) ? `pods still run at ${revision}` : undefined;
}
