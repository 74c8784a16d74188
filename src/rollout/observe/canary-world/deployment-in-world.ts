import { createHash } from "node:crypto";
import { isTree, jsonEqualWithoutNulls, type Tree, canonicalJson } from "../../../base/index.ts";
import { formatLabelSelector, matchesLabels, type UntypedObject } from "../../../api/index.ts";
import { destinationRuleKind, type DestinationRule } from "../../../api/istio/index.ts";
import {
  deploymentKind,
  horizontalPodAutoscalerKind,
  replicaSetKind,
  type Deployment,
  type HorizontalPodAutoscaler,
  type ReplicaSet,
} from "../../../api/kubernetes/index.ts";
import {
  isRestingPhase,
  type Canary,
  type DeploymentTarget,
  type JournalEntry,
  type ObjectReference,
  type RolloutStatus,
} from "../../../api/serin/index.ts";
import { copyLabel, copyName, resolveHost, targetError, type DeploymentInWorld } from "../../plan/index.ts";
import { storedSpec } from "../stored-fields.ts";
import type { CanarySources } from "./canary-sources.ts";
import { isUnderWay } from "../../decide/index.ts";
import { firstWrite, lastWrite, setupWrite } from "./prior-values.ts";
import type { ServiceInWorld } from "./service-in-world.ts";
import { nameTaken } from "./taken-names.ts";

const hashLabel = "pod-template-hash";
/** The fields of the spec that are not copied from the Deployment, because the engine sets them in a copy. */
const notCopied = new Set(["replicas", "selector", "template", "paused"]);

export async function deploymentInWorld(
  sources: CanarySources,
  canary: Canary,
  target: DeploymentTarget,
  service: ServiceInWorld,
  journal: readonly JournalEntry[],
): Promise<DeploymentInWorld> {
  const namespace = canary.metadata.namespace ?? "default";
  const found = await sources.client.get(deploymentKind, target.name, namespace);
  if (found?.spec === undefined) {
    refuseOtherKind(sources, `${namespace}/${target.name}`);
    throw targetError(
      "target-missing",
      `spec.target.deployment.name: Deployment ${namespace}/${target.name} does not exist`,
      "create it first, or name another",
    );
  }
  const { spec, metadata } = found;
  const object: ObjectReference = {
    apiVersion: "apps/v1",
    kind: "Deployment",
    plural: "deployments",
    name: target.name,
    namespace,
  };
  checkSelected(found, service, `${namespace}/${target.name}`);
  checkPatience(canary, `${namespace}/${target.name}`, spec.minReadySeconds);
  checkRuns(canary, `${namespace}/${target.name}`, spec.replicas);
  const sets = await replicaSetsOf(sources, found);
  const adopted = firstWrite(journal, object, "/spec/template");
  const current = spec.template as unknown as Tree;
  // During a run, and after it until the template changes, the stable version is the template from before the run.
  const running =
    adopted !== undefined && jsonEqualWithoutNulls(adopted.written, current) ? (adopted.prior as Tree) : undefined;
  const active = activeSet(sets);
  const stable = running ?? templateOf(active) ?? current;
  const changes = !sameTemplate(stable, current);
  const { autoscaler, ofCopy: copyScaler } = await autoscalersOf(sources, canary, target, namespace);
  const candidateHash = hashOf(sets.find((set) => sameTemplate(templateOf(set) ?? {}, current)));
  const stableSet = sets.find((set) => sameTemplate(templateOf(set) ?? {}, stable)) ?? active;
  const replicas = firstWrite(journal, object, "/spec/replicas")?.prior;
  const copy = sources.view.deployments.get(`${namespace}/${copyName(target, "canary")}`);
  const copyReplicas = copy?.spec?.replicas;
  if (copy !== undefined && copy.metadata.labels?.[copyLabel] === undefined)
    throw nameTaken("deployment", { ...object, name: copyName(target, "canary") });
  const held = whyHeld(sources, canary, { object, current, changes, replicas: spec.replicas });
  const rule = await userRule(sources, service, journal);
  return {
    object,
    uid: metadata.uid ?? "",
    labels: metadata.labels ?? {},
    replicas: typeof replicas === "number" ? replicas : (spec.replicas ?? 1),
    selector: spec.selector as unknown as Tree,
    spec: Object.fromEntries(Object.entries(spec).filter(([field]) => !notCopied.has(field))),
    stableTemplate: stable,
    stableHash: hashOf(stableSet) ?? "",
    candidateTemplate: current,
    service: { ports: service.ports, selector: service.selector },
    ...(copyReplicas === undefined ? {} : { copyReplicas, copyIsAutoscaled: copyScaler !== undefined }),
    ...(copyScaler?.spec === undefined ? {} : { copyMaxReplicas: copyScaler.spec.maxReplicas }),
    ...(candidateHash === undefined ? {} : { candidateHash }),
    ...(rule === undefined ? {} : { destinationRule: rule }),
    ...(autoscaler === undefined ? {} : { autoscaler }),
    candidate: digest(current),
    idle: !changes || held !== undefined,
    ...(held === undefined ? {} : { held }),
    ...(isResumed(canary.status, object, spec.paused, journal) ? { isResumed: true } : {}),
  };
}

const spareTheEngine =
  "let the webhook (kubectl get mutatingwebhookconfigurations) leave the writes of serin-system/serin-rollout alone";

interface HeldDeployment {
  readonly object: ObjectReference;
  readonly current: Tree;
  readonly changes: boolean;
  readonly replicas: number | undefined;
}

/**
 * Why a change of the template does not begin a run. During a run, throws if a webhook changes the template whenever
 * the engine writes the Deployment: each such write would replace the pods and look like another change, so no run
 * would end.
 */
function whyHeld(
  { objects }: CanarySources,
  canary: Canary,
  { object, current, changes, replicas }: HeldDeployment,
): string | undefined {
  const { namespace = "", name } = object;
  const { metadata, status } = canary;
  const rewritten = objects.rewrittenTemplate(object);
  // False if somebody has written another template after the engine's writes.
  const isRewritten = rewritten !== undefined && jsonEqualWithoutNulls(rewritten, current);
  const rewriting = `an admission webhook changes the pod template of Deployment ${namespace}/${name} whenever the engine writes the Deployment, so no run could end`;
  if (isRewritten && status !== undefined && isUnderWay(status) && (status.run ?? 0) > 0)
    throw targetError(
      "target-unclear",
      `spec.target.deployment.name: ${rewriting}`,
      `${spareTheEngine}, undo the run (serin canary abort ${metadata.name ?? ""} -n ${namespace}), and change the template`,
    );
  if (!changes || !isAtRest(canary)) return undefined;
  if (isRewritten) return `a change waits, because ${rewriting}; ${spareTheEngine}, and change the template`;
  return heldWithoutPods(canary, object, replicas);
}

/** Why a change of a Deployment without pods does not begin a run. */
export function heldWithoutPods(
  canary: Canary,
  { namespace = "", name }: ObjectReference,
  replicas: unknown,
): string | undefined {
  return replicas === 0 && isAtRest(canary)
    ? `a change waits, because Deployment ${namespace}/${name} has 0 replicas and nothing to compare with; scale it up, and a run begins`
    : undefined;
}

async function replicaSetsOf(
  { client, view }: CanarySources,
  { metadata: { namespace = "", uid: owner } }: Deployment,
): Promise<readonly ReplicaSet[]> {
  const { items } = await view.recently(
    `replica sets of ${namespace}`,
    async () => await client.list(replicaSetKind, { namespace }),
  );
  return items.filter((set) => set.metadata.ownerReferences?.some(({ uid }) => uid === owner) === true);
}

/**
 * Whether somebody has resumed the Deployment that the rollout's last write holds. False in the step that holds the
 * Deployment, because that step's own write repairs this.
 */
export function isResumed(
  status: RolloutStatus | undefined,
  object: ObjectReference,
  paused: unknown,
  journal: readonly JournalEntry[],
): boolean {
  const entry = lastWrite(journal, object, "/spec/paused");
  const isCurrent = status !== undefined && isUnderWay(status) && status.step?.id === entry?.step;
  return paused !== true && entry?.written === true && !isCurrent;
}

function isAtRest({ status }: Canary): boolean {
  return (status?.phase ?? "Planned") === "Planned" || isRestingPhase(status?.phase);
}

/**
 * Throws if somebody has scaled the Deployment to 0 while a run is under way. Otherwise the steps would continue
 * without a stable version to compare with, and at the end send all requests to a Deployment without pods.
 */
export function checkRuns({ status }: Canary, deployment: string, replicas: unknown): void {
  if (replicas !== 0 || status === undefined || (status.run ?? 0) === 0 || !isUnderWay(status)) return;
  throw targetError(
    "target-missing",
    `spec.target.deployment: Deployment ${deployment} was scaled to 0 replicas while this Canary moves it`,
    "scale it up, and the rollout continues",
  );
}

function refuseOtherKind({ view }: CanarySources, key: string): void {
  const kind =
    view.statefulSets.get(key) !== undefined
      ? "StatefulSet"
      : view.daemonSets.get(key) !== undefined
        ? "DaemonSet"
        : undefined;
  if (kind === undefined) return;
  throw targetError(
    "target-unclear",
    `spec.target.deployment.name: ${key} is a ${kind}, and the engine holds and copies only Deployments`,
    "run the new version as another workload with its own Service, and move between the two by target.services",
  );
}

/** Throws if no step could settle, because pods would become available only after the step's limit. */
function checkPatience({ spec }: Canary, deployment: string, minReadySeconds = 0): void {
  if (minReadySeconds < spec.settleTimeoutSeconds) return;
  throw targetError(
    "target-unclear",
    `spec.settleTimeoutSeconds: must be longer than minReadySeconds of Deployment ${deployment} (${minReadySeconds} s), because its pods count as ready only then, got ${spec.settleTimeoutSeconds}`,
    "raise it",
  );
}

/** Throws if the Service does not select the Deployment's pods: then its requests could not be moved. */
function checkSelected({ spec }: Deployment, service: ServiceInWorld, deployment: string): void {
  const labels = spec?.template.metadata?.labels ?? {};
  if (matchesLabels(service.selector, labels)) return;
  const selector = formatLabelSelector({ matchLabels: service.selector });
  throw targetError(
    "target-unclear",
    `spec.target.deployment.service: Service ${service.namespace}/${service.name} selects ${selector === "" ? "nothing" : selector}, which does not match the pods of Deployment ${deployment}`,
    "name the Service of its pods",
  );
}

/** The ReplicaSet whose pods serve: the one with the most pods, and among equal ones the latest. */
function activeSet(sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  const revision = ({ metadata }: ReplicaSet): number =>
    Number(metadata.annotations?.["deployment.kubernetes.io/revision"] ?? 0);
  const [latest] = [...sets].sort(
    (a, b) => (b.spec?.replicas ?? 0) - (a.spec?.replicas ?? 0) || revision(b) - revision(a),
  );
  return latest;
}

/** The template that the Deployment had when it made the ReplicaSet, without the template hash. */
function templateOf(set: ReplicaSet | undefined): Tree | undefined {
  const template = set?.spec?.template;
  if (template === undefined) return undefined;
  const { [hashLabel]: _hash, ...labels } = template.metadata?.labels ?? {};
  return { ...template, metadata: { ...template.metadata, labels } };
}

function sameTemplate(a: Tree, b: Tree): boolean {
  return jsonEqualWithoutNulls(withoutTime(a), withoutTime(b));
}

function withoutTime(template: Tree): Tree {
  const { creationTimestamp: _created, ...metadata } = (template["metadata"] ?? {}) as Tree;
  return { ...template, metadata };
}

function hashOf(set: ReplicaSet | undefined): string | undefined {
  return set?.metadata.labels?.[hashLabel];
}

function digest(template: Tree): string {
  return createHash("sha256")
    .update(canonicalJson(withoutTime(template)))
    .digest("hex")
    .slice(0, 16);
}

/**
 * The autoscalers of the Deployment and of the canary copy. The engine leaves the Deployment's autoscaler unchanged,
 * and creates a similar one for the copy.
 */
async function autoscalersOf(
  { client, view }: CanarySources,
  canary: Canary,
  target: DeploymentTarget,
  namespace: string,
): Promise<{ readonly autoscaler?: UntypedObject; readonly ofCopy: HorizontalPodAutoscaler | undefined }> {
  const { items } = await view.recently(
    `autoscalers of ${namespace}`,
    async () => await client.list(horizontalPodAutoscalerKind, { namespace }),
  );
  const found = items.find(
    ({ spec, metadata }) =>
      spec?.scaleTargetRef.kind === "Deployment" &&
      spec.scaleTargetRef.name === target.name &&
      metadata.labels?.[copyLabel] === undefined,
  );
  const copy = copyName(target, "canary");
  const ofCopy = items.find(
    ({ spec, metadata }) =>
      metadata.name === copy && spec?.scaleTargetRef.kind === "Deployment" && spec.scaleTargetRef.name === copy,
  );
  if (found === undefined) return { ofCopy };
  if (canary.spec.dynamicStableScale) {
    throw targetError(
      "target-taken",
      `spec.dynamicStableScale: HorizontalPodAutoscaler ${namespace}/${found.metadata.name ?? ""} already sets the replicas of Deployment ${target.name}, and only one may`,
      "leave dynamicStableScale out: the autoscaler removes pods that have less to do",
    );
  }
  return { autoscaler: found as unknown as UntypedObject, ofCopy };
}

function isListOfFields(value: unknown): value is readonly Tree[] {
  return Array.isArray(value) && value.every(isTree);
}

/**
 * The user's DestinationRule for the host. The engine adds its subsets there, because proxies ignore a second rule for
 * the same host.
 */
async function userRule(
  { client, view }: CanarySources,
  { name, namespace }: ServiceInWorld,
  journal: readonly JournalEntry[],
): Promise<DeploymentInWorld["destinationRule"]> {
  const host = resolveHost(name, namespace);
  const { items } = await view.recently(
    `destination rules of ${namespace}`,
    async () => await client.list(destinationRuleKind, { namespace }),
  );
  const found = items.find(
    (rule) =>
      resolveHost(storedSpec<DestinationRule["spec"]>("DestinationRule", rule).host, namespace) === host &&
      rule.metadata.labels?.["app.kubernetes.io/managed-by"] !== "serin-rollout",
  );
  if (found === undefined) return undefined;
  const object: ObjectReference = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    plural: "destinationrules",
    name: found.metadata.name ?? "",
    namespace,
  };
  const written = setupWrite(journal, object, "/spec/subsets");
  const subsets: unknown = (written === undefined ? found.spec.subsets : written.prior) ?? [];
  if (!isListOfFields(subsets))
    throw targetError(
      "target-unclear",
      `spec.target.deployment.service: DestinationRule ${namespace}/${object.name} has a field of a wrong type: spec.subsets must be a list of objects`,
      "correct it",
    );
  const taken = subsets.find((subset) => subset["name"] === "stable" || subset["name"] === "canary");
  if (taken !== undefined)
    throw targetError(
      "target-taken",
      `spec.target.deployment.service: DestinationRule ${namespace}/${object.name} has a subset ${String(taken["name"])} already`,
      "rename it, or move your own VirtualService with target.virtualService",
    );
  return { object, subsets };
}
