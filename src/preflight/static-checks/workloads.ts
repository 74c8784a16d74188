import { defaultRevision, istioAnnotations, istioLabels, resolveRevision } from "../../api/istio/index.ts";
import { withArticle } from "../../base/index.ts";
import { keyOf, matchesLabelSelector, type KubernetesObject } from "../../api/index.ts";
import {
  delaysUpdate,
  podsTakenAtOnce,
  type DaemonSet,
  type Deployment,
  type Namespace,
  type Pod,
  type PodDisruptionBudget,
  type ReplicaSet,
  type StatefulSet,
} from "../../api/kubernetes/index.ts";
import { isHeldByCanary } from "../../api/serin/field-managers/index.ts";
import { ztunnelOwnerAnnotation } from "../../api/serin/index.ts";
import {
  named,
  type BlockingBudget,
  type Finding,
  type GatewayReport,
  type NamespaceReport,
  type StuckWorkload,
  type WorkloadsReport,
  type ZtunnelReport,
} from "../report.ts";

export interface WorkloadFacts {
  readonly pods: readonly Pod[];
  readonly namespaces: readonly Namespace[];
  readonly deployments: readonly Deployment[];
  readonly replicaSets: readonly ReplicaSet[];
  readonly statefulSets: readonly StatefulSet[];
  readonly daemonSets: readonly DaemonSet[];
  readonly budgets: readonly PodDisruptionBudget[];
  /** The objects of kind Gateway of the Gateway API. */
  readonly gateways: readonly (KubernetesObject & { readonly spec?: { readonly gatewayClassName?: string } })[];
  readonly tags: ReadonlyMap<string, string>;
  /** The number of open connections of each ztunnel pod, by `namespace/name`. */
  readonly connections: ReadonlyMap<string, number>;
}

export interface InjectedWorkload {
  readonly namespace: string;
  readonly kind: string;
  readonly name: string;
  readonly pods: readonly Pod[];
  /** Whether it is a gateway of Istio's own API: an installation deployed it, or it is injected as a gateway. */
  readonly isGateway: boolean;
  readonly object: Deployment | StatefulSet | DaemonSet | undefined;
}

const restartable = ["Deployment", "StatefulSet", "DaemonSet", "Rollout"];

/** Reports which workloads move with the upgrade, which do not move when they restart, and what blocks the upgrade. */
export function surveyWorkloads(
  facts: WorkloadFacts,
  from: string,
): {
  readonly report: Omit<WorkloadsReport, "injection">;
  readonly findings: readonly Finding[];
  readonly injected: readonly InjectedWorkload[];
} {
  const injected = injectedWorkloads(facts, from);
  const sidecars = injected.filter(({ isGateway }) => !isGateway);
  const stuck = sidecars.flatMap((workload) => whyStuck(workload, from));
  const blockingBudgets = facts.budgets.flatMap((budget) => whyBlocking(budget, injected));
  const report = {
    namespaces: [...sidecarNamespaces(facts, sidecars), ...ambientNamespaces(facts)],
    tags: [...facts.tags]
      .filter(([, revision]) => revision === from)
      .map(([tag]) => tag)
      .toSorted(),
    stuck,
    blockingBudgets,
    ...gatewaysOf(facts, injected, from),
    ztunnels: ztunnelsOf(facts, from),
  };
  return {
    report,
    findings: [
      ...stuckFindings(stuck),
      ...budgetFindings(blockingBudgets),
      ...interruptions(injected),
      ...idleFindings(report, from),
    ],
    injected,
  };
}

function isLive({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && status?.phase !== "Succeeded" && status?.phase !== "Failed";
}

function isGatewayPod({ metadata: { annotations = {}, labels = {} } }: Pod): boolean {
  const templates = annotations[istioAnnotations.injectTemplates] ?? "";
  const component = labels[istioLabels.component] ?? "";
  return templates.includes("gateway") || component === "IngressGateways" || component === "EgressGateways";
}

function revisionOf({ metadata: { annotations = {}, labels = {} } }: Pod): string {
  return annotations[istioLabels.revision] ?? labels[istioLabels.revision] ?? defaultRevision;
}

/** The workloads whose pods the revision injected, and the classic gateways that it deployed. */
export function injectedWorkloads(facts: WorkloadFacts, from: string): InjectedWorkload[] {
  const found = new Map<string, { workload: Omit<InjectedWorkload, "pods" | "isGateway">; pods: Pod[] }>();
  const owners = new Map(
    facts.replicaSets.map((set) => [`${set.metadata.namespace ?? ""}/${set.metadata.name ?? ""}`, set]),
  );
  for (const pod of facts.pods) {
    const isOurs = pod.metadata.annotations?.[istioAnnotations.sidecarStatus] !== undefined || isGatewayPod(pod);
    if (!isLive(pod) || !isOurs || revisionOf(pod) !== from) continue;
    const workload = workloadOf(pod, owners, facts);
    const key = `${workload.namespace}/${workload.kind}/${workload.name}`;
    const known = found.get(key) ?? { workload, pods: [] };
    known.pods.push(pod);
    found.set(key, known);
  }
  return [...found.values()]
    .map(({ workload, pods }) => ({ ...workload, pods, isGateway: pods.every(isGatewayPod) }))
    .toSorted((left, right) => (sortKey(left) < sortKey(right) ? -1 : 1));
}

function sortKey({ namespace, kind, name }: Pick<InjectedWorkload, "namespace" | "kind" | "name">): string {
  return `${namespace}/${kind}/${name}`;
}

function workloadOf(
  { metadata }: Pod,
  replicaSets: ReadonlyMap<string, ReplicaSet>,
  facts: WorkloadFacts,
): Omit<InjectedWorkload, "pods" | "isGateway"> {
  const { namespace = "", name = "", ownerReferences = [] } = metadata;
  const owner = ownerReferences.find(({ controller }) => controller === true);
  if (owner === undefined) return { namespace, kind: "Pod", name, object: undefined };
  const above =
    owner.kind === "ReplicaSet"
      ? replicaSets
          .get(`${namespace}/${owner.name}`)
          ?.metadata.ownerReferences?.find(({ controller }) => controller === true)
      : undefined;
  const { kind, name: ownerName } = above ?? owner;
  const all: Readonly<Record<string, readonly (Deployment | StatefulSet | DaemonSet)[]>> = {
    Deployment: facts.deployments,
    StatefulSet: facts.statefulSets,
    DaemonSet: facts.daemonSets,
  };
  const object = all[kind]?.find(
    (candidate) => candidate.metadata.namespace === namespace && candidate.metadata.name === ownerName,
  );
  return { namespace, kind, name: ownerName, object };
}

function sidecarNamespaces(
  { namespaces, tags }: WorkloadFacts,
  workloads: readonly InjectedWorkload[],
): NamespaceReport[] {
  const names = [...new Set(workloads.map(({ namespace }) => namespace))];
  return names.map((namespace) => {
    const labels = namespaces.find(({ metadata }) => metadata.name === namespace)?.metadata.labels ?? {};
    const own = workloads.filter((workload) => workload.namespace === namespace);
    return {
      namespace,
      mode: "sidecar",
      by: namingOf(labels, tags),
      workloads: own.map(({ kind, name, pods }) => ({ kind, name, replicas: pods.length })),
      pods: own.reduce((sum, { pods }) => sum + pods.length, 0),
    };
  });
}

/** The label of a namespace that decides which control plane injects its pods. */
function namingOf(labels: Readonly<Record<string, string>>, tags: ReadonlyMap<string, string>): string {
  if (labels[istioLabels.injection] === "enabled")
    return `${istioLabels.injection}=enabled${tags.has(defaultRevision) ? ` (tag default -> ${tags.get(defaultRevision) ?? ""})` : ""}`;
  const named = labels[istioLabels.revision];
  if (named === undefined) return "labels of its pods";
  const behind = tags.get(named);
  return behind === undefined
    ? `${istioLabels.revision}=${named}`
    : `${istioLabels.revision}=${named} (tag -> ${behind})`;
}

function ambientNamespaces({ namespaces, pods }: WorkloadFacts): NamespaceReport[] {
  return namespaces
    .filter(({ metadata }) => metadata.labels?.[istioLabels.dataplaneMode] === "ambient")
    .map(({ metadata }) => ({
      namespace: metadata.name ?? "",
      mode: "ambient" as const,
      by: "istio.io/dataplane-mode=ambient",
      workloads: [],
      pods: pods.filter((pod) => pod.metadata.namespace === metadata.name && isLive(pod) && isEnrolled(pod)).length,
    }));
}

function isEnrolled({ metadata: { annotations = {} } }: Pod): boolean {
  return annotations[istioAnnotations.ambientRedirection] === "enabled";
}

function whyStuck({ namespace, kind, name, object, pods }: InjectedWorkload, from: string): StuckWorkload[] {
  const stuck = (reason: string, todo: string): StuckWorkload[] => [{ namespace, kind, name, reason, todo }];
  if (kind === "Pod")
    return stuck(
      "a bare pod: nothing recreates it",
      `kubectl -n ${namespace} get pod ${name} -o yaml, delete it, and apply it again after its namespace has moved`,
    );
  if (
    kind === "Job" ||
    pods.some(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.kind === "Job") === true)
  )
    return stuck("a Job: a restart would run it again", "wait until it ends; its next run gets the new sidecar");
  if (kind === "ReplicaSet" || kind === "ReplicationController")
    return stuck(
      `a bare ${kind}: kubectl cannot restart it`,
      `delete its pods one by one after namespace ${namespace} has moved`,
    );
  if (!restartable.includes(kind))
    return stuck(
      `owned by ${withArticle(kind)}, which Serin cannot restart`,
      `restart it through its operator after namespace ${namespace} has moved`,
    );
  const template = object?.spec?.template.metadata?.labels?.[istioLabels.revision];
  if (template === from)
    return stuck(
      `its own pod template names the revision (${istioLabels.revision}: ${from})`,
      `change or remove the label in the template of ${kind} ${name}`,
    );
  if (
    object !== undefined &&
    "updateStrategy" in (object.spec ?? {}) &&
    (object as DaemonSet).spec?.updateStrategy?.type === "OnDelete"
  )
    return stuck(
      "its update strategy is OnDelete: a restart changes nothing",
      `delete its pods one by one after namespace ${namespace} has moved`,
    );
  const rolling = kind === "StatefulSet" ? (object as StatefulSet | undefined)?.spec?.updateStrategy : undefined;
  const partition = rolling?.rollingUpdate?.partition ?? 0;
  if (partition > 0)
    return stuck(
      `the partition of its rolling update is ${partition}: a restart leaves out the pods below number ${partition}`,
      `delete these pods one by one after namespace ${namespace} has moved`,
    );
  const spec: Deployment["spec"] = object?.spec;
  if (isHeldByCanary(object))
    return stuck(
      "a Canary holds it: a restart is refused, and a change of its pod template goes through the Canary",
      `change the pod template of Deployment ${name} after namespace ${namespace} has moved; the upgrade names the command`,
    );
  if (spec?.paused === true)
    return stuck(
      "it is paused: a restart waits until it is resumed",
      `kubectl -n ${namespace} rollout resume deployment/${name}`,
    );
  return [];
}

function stuckFindings(stuck: readonly StuckWorkload[]): Finding[] {
  if (stuck.length === 0) return [];
  return [
    {
      severity: "warning",
      area: "workloads",
      message: `${stuck.length} workload${stuck.length === 1 ? " needs" : "s need"} manual work: a restart does not move ${stuck.length === 1 ? "it" : "them"}`,
      ...named(stuck.map(({ namespace, kind, name }) => `${kind} ${namespace}/${name}`)),
    },
  ];
}

/**
 * Why a wave waits for a disruption budget. Workloads whose update removes no pod before its successor is ready do not
 * wait for it: the engine restarts them even if the budget allows no eviction.
 */
function whyBlocking(budget: PodDisruptionBudget, workloads: readonly InjectedWorkload[]): BlockingBudget[] {
  const { metadata, spec, status } = budget;
  const { namespace = "", name = "" } = metadata;
  if (status === undefined) return [];
  const held = workloads.flatMap((workload) => {
    const { kind, object } = workload;
    if (workload.namespace !== namespace || !restartable.includes(kind)) return [];
    const pods = workload.pods.filter((pod) => matchesLabelSelector(spec?.selector, pod.metadata.labels)).length;
    const taken = podsTakenAtOnce(kind, object?.spec);
    return pods > 0 && delaysUpdate(status, taken) ? [{ pods, taken }] : [];
  });
  if (held.length === 0) return [];
  const { disruptionsAllowed } = status;
  const pods = held.reduce((sum, workload) => sum + workload.pods, 0);
  const taken = Math.max(...held.map((workload) => workload.taken));
  return [{ namespace, name, disruptionsAllowed, pods, reason: reasonOf(status, taken) }];
}

function reasonOf(
  { disruptionsAllowed, currentHealthy, desiredHealthy, expectedPods }: NonNullable<PodDisruptionBudget["status"]>,
  taken: number,
): string {
  if (currentHealthy < desiredHealthy)
    return `has ${currentHealthy} healthy pods of the ${desiredHealthy} that it wants`;
  if (desiredHealthy >= expectedPods && expectedPods > 0)
    return `wants ${desiredHealthy} of ${expectedPods} pods, so it never allows an eviction`;
  return `allows ${disruptionsAllowed} of the ${taken} disruptions of an update`;
}

function budgetFindings(budgets: readonly BlockingBudget[]): Finding[] {
  return budgets.map(({ namespace, name, reason, pods }) => ({
    severity: "warning" as const,
    area: "workloads" as const,
    message: `PodDisruptionBudget ${namespace}/${name} ${reason}: the wave waits for its ${pods} pod${pods === 1 ? "" : "s"}`,
    hint: "scale the workload up by one for the wave, or relax the budget",
  }));
}

function interruptions(workloads: readonly InjectedWorkload[]): Finding[] {
  const away = workloads.filter(({ kind, object }) => kind === "Deployment" && strategyOf(object) === "Recreate");
  if (away.length === 0) return [];
  return [
    {
      severity: "warning",
      area: "workloads",
      message: `${away.length} Deployment${away.length === 1 ? " has" : "s have"} no ready pods while ${away.length === 1 ? "it restarts" : "they restart"}: strategy Recreate`,
      ...named(away.map(({ namespace, name }) => `Deployment ${namespace}/${name}`)),
      hint: "use RollingUpdate, or choose a quiet time",
    },
  ];
}

function strategyOf(object: InjectedWorkload["object"]): string | undefined {
  const spec: Deployment["spec"] = object?.spec;
  return spec?.strategy?.type;
}

function idleFindings(
  { namespaces, gateways, waypoints, ztunnels }: Omit<WorkloadsReport, "injection">,
  from: string,
): Finding[] {
  const leans =
    namespaces.some(({ mode }) => mode === "sidecar") ||
    gateways.length > 0 ||
    waypoints.length > 0 ||
    ztunnels.length > 0;
  return leans
    ? []
    : [
        {
          severity: "warning",
          area: "workloads",
          message: `nothing uses revision "${from}": it has no sidecar, gateway, waypoint or ztunnel`,
          hint: "check that it is the right revision: serin x revision list",
        },
      ];
}

function gatewaysOf(
  facts: WorkloadFacts,
  injected: readonly InjectedWorkload[],
  from: string,
): { readonly gateways: readonly GatewayReport[]; readonly waypoints: readonly GatewayReport[] } {
  const classic = injected
    .filter(({ isGateway }) => isGateway)
    .map(({ namespace, name, pods }): GatewayReport => ({ namespace, name, api: "Istio", replicas: pods.length }));
  const owned = facts.gateways.filter((gateway) => owningRevision(gateway, facts) === from);
  const report = (gateway: WorkloadFacts["gateways"][number]): GatewayReport => ({
    namespace: gateway.metadata.namespace ?? "",
    name: gateway.metadata.name ?? "",
    api: "Gateway API",
    replicas: facts.pods.filter(
      (pod) =>
        isLive(pod) &&
        pod.metadata.namespace === gateway.metadata.namespace &&
        pod.metadata.labels?.[istioLabels.gatewayName] === gateway.metadata.name,
    ).length,
  });
  return {
    gateways: [...classic, ...owned.filter(({ spec }) => spec?.gatewayClassName === "istio").map(report)],
    waypoints: owned
      .filter(({ spec }) => spec?.gatewayClassName === "istio-waypoint" || spec?.gatewayClassName === "istio-mesh")
      .map(report),
  };
}

function owningRevision({ metadata }: KubernetesObject, { namespaces, tags }: WorkloadFacts): string {
  const namespace = namespaces.find((candidate) => candidate.metadata.name === metadata.namespace);
  return resolveRevision(
    {
      own: metadata.labels?.[istioLabels.revision],
      namespace: namespace?.metadata.labels?.[istioLabels.revision],
    },
    (name) => tags.get(name),
  );
}

function ztunnelsOf({ pods, connections }: WorkloadFacts, from: string): ZtunnelReport[] {
  const own = pods.filter(
    (pod) =>
      isLive(pod) &&
      pod.metadata.labels?.["app"] === "ztunnel" &&
      (pod.metadata.labels[istioLabels.revision] ?? defaultRevision) === from,
  );
  return own.map((pod) => {
    const node = pod.spec?.nodeName ?? "";
    const key = keyOf(pod);
    const live = connections.get(key);
    const enrolled = pods.filter(
      (served) =>
        isLive(served) &&
        isEnrolled(served) &&
        served.spec?.nodeName === node &&
        (served.metadata.annotations?.[ztunnelOwnerAnnotation] ?? from) === from,
    ).length;
    return { node, pod: key, enrolledPods: enrolled, ...(live === undefined ? {} : { liveConnections: live }) };
  });
}
