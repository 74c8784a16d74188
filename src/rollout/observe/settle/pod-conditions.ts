import { firstNames } from "../../../base/index.ts";
import { formatLabelSelector, matchesLabels } from "../../../api/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import { ztunnelOwnerAnnotation, type ObjectReference } from "../../../api/serin/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { SettleCondition, SettleState, WorkloadMatch } from "../../decide/index.ts";
import { howToMove, probeNamespace } from "../../plan/index.ts";
import { isServedElsewhere } from "../remote-endpoints.ts";
import type { ClusterView } from "../cluster-view.ts";
import { isMade } from "../checks/subject-pods.ts";
import { scrapePod } from "../checks/scrape.ts";
import { dependentsOf } from "../dependents.ts";
import type { AgeOfEvent } from "../event-ages.ts";
import { isLedTo } from "../injectors.ts";
import { isReady, whoChangesOwner } from "../pod-reason.ts";
import { probePodState } from "../probes/probe-start.ts";
import { isLive, sidecarRevision, sidecarWorkloads } from "../sidecar-workloads.ts";
import { isStranded } from "../stranded-pod.ts";

export function podState(view: ClusterView, { name, namespace = "" }: ObjectReference, ageMs: AgeOfEvent): SettleState {
  const pod = view.pods.get(`${namespace}/${name}`);
  if (namespace === probeNamespace) return probePodState(pod, name, ageMs);
  return pod !== undefined && isReady(pod)
    ? { state: "met" }
    : { state: "waiting", detail: `${namespace}/${name} is not ready` };
}

export function ownerState(
  view: ClusterView,
  { name, namespace = "" }: ObjectReference,
  revision: string,
): SettleState {
  const pod = view.pods.get(`${namespace}/${name}`);
  if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return { state: "met" };
  const owner = pod.metadata.annotations?.[ztunnelOwnerAnnotation];
  return owner === revision
    ? { state: "met" }
    : { state: "waiting", detail: `${namespace}/${name} is owned by ${owner ?? "no ztunnel"}${whoChangesOwner(pod)}` };
}

export async function podsGoneState(
  view: ClusterView,
  { namespace, labels, toDo }: Omit<Extract<SettleCondition, { type: "podsGone" }>, "type">,
  nowMs: number,
): Promise<SettleState> {
  const left = view
    .runningPods(labels)
    // Without advice, stranded pods are ignored. Nobody would be told to act, so a lost node would keep the rollout
    // from ending.
    .filter((pod) => pod.metadata.namespace === namespace && (toDo !== undefined || !isStranded(pod, nowMs)));
  if (left.length === 0) return { state: "met" };
  const details = await Promise.all(left.map(async (pod) => `${pod.metadata.name ?? ""} ${await drainingText(pod)}`));
  const obstacle = toDo === undefined ? {} : { obstacle: { toDo } };
  return { state: "waiting", detail: details.join("; "), left: left.length, ...obstacle };
}

const maxNamed = 5;

export async function dependentState(
  client: KubeClient,
  view: ClusterView,
  { revision, to, mayStay = false }: Extract<SettleCondition, { type: "noDependents" }>,
): Promise<SettleState> {
  const dependents = await dependentsOf(client, view, revision);
  if (dependents.length === 0) return { state: "met" };
  const left = dependents.filter(({ endsBy }) => endsBy === undefined);
  const ending = dependents.filter(({ endsBy }) => endsBy !== undefined);
  const asked = left.map((dependent) => {
    const isLed = dependent.namespace !== undefined && isLedTo(view, dependent.namespace, to);
    return `${dependent.text}: ${howToMove({ ...dependent, isLed }, to)}`;
  });
  const [depend, them] = left.length === 1 ? ["depends", "it"] : ["depend", "them"];
  const must = mayStay
    ? `. Leave the upgrade at this step to keep ${revision}. To retire it, a person must move ${them}: `
    : ", so a person must: ";
  const parts = [
    ...(left.length === 0
      ? []
      : [`${left.length} still ${depend} on ${revision}, and no step moves ${them}${must}${named(asked)}`]),
    ...(ending.length === 0
      ? []
      : [`still ending: ${named(ending.map(({ text, endsBy = "" }) => `${text}, by ${endsBy} at the latest`))}`]),
  ];
  return { state: "waiting", detail: parts.join("; ") };
}

function named(texts: readonly string[]): string {
  const more = texts.length > maxNamed ? `; and ${texts.length - maxNamed} more` : "";
  return `${texts.slice(0, maxNamed).join("; ")}${more}`;
}

export function leftToEndState(view: ClusterView, namespace: string, revision: string): SettleState {
  const left = (sidecarWorkloads(view, { only: namespace }).get(namespace) ?? []).flatMap(
    ({ object, pods, unmovable }) =>
      unmovable === undefined
        ? []
        : pods
            .filter((pod) => sidecarRevision(pod) === revision)
            .map(
              ({ metadata }) =>
                `${namespace}/${metadata.name ?? ""}${object.kind === "Pod" ? "" : ` of ${object.kind} ${object.name}`} (${unmovable})`,
            ),
  );
  return left.length === 0
    ? { state: "met" }
    : { state: "waiting", detail: `a restart does not move ${firstNames(left, maxNamed)}` };
}

type ReadyPods = Extract<SettleCondition, { type: "readyPods" }>;

export function readyPodsState(view: ClusterView, { namespace, labels, without, atLeast }: ReadyPods): SettleState {
  const pods = view
    .runningPods(labels)
    .filter(
      ({ metadata }) =>
        metadata.namespace === namespace &&
        metadata.deletionTimestamp === undefined &&
        (without === undefined || metadata.labels?.[without] === undefined),
    );
  const ready = pods.filter(isReady).length;
  return ready >= atLeast
    ? { state: "met" }
    : {
        state: "waiting",
        left: atLeast - ready,
        detail: `${ready} of ${atLeast} pods with ${Object.values(labels).join(", ")} are ready in ${namespace}`,
      };
}

/**
 * Where a version serves: `here` by ready pods of this cluster, or `elsewhere`, because no workload of this cluster
 * makes such pods or because another cluster has them.
 */
export type Serving = "here" | "elsewhere" | "none";

export async function podsServe(
  view: ClusterView,
  match: WorkloadMatch & { readonly podLabels: Readonly<Record<string, string>> },
): Promise<Serving> {
  const { namespace, podLabels } = match;
  const pods = view.pods
    .list()
    .filter(
      (pod) => pod.metadata.namespace === namespace && matchesLabels(podLabels, pod.metadata.labels) && isLive(pod),
    );
  if (pods.some(isReady)) return "here";
  if (pods.length === 0 && !isMade(view, match)) return "elsewhere";
  return (await isServedElsewhere(view, match)) ? "elsewhere" : "none";
}

export async function versionServesState(
  view: ClusterView,
  { namespace, service, labels }: Extract<SettleCondition, { type: "versionServes" }>,
): Promise<SettleState> {
  const serves = await podsServe(view, { namespace, service, podLabels: labels });
  if (serves !== "none") return { state: "met" };
  return {
    state: "waiting",
    detail: `Service ${namespace}/${service} has no ready pod, so the canary gets no requests yet: kubectl -n ${namespace} get pods -l ${formatLabelSelector({ matchLabels: labels })}`,
  };
}

/**
 * A text such as `draining, 1 connection`, from the metrics of the draining ztunnel. If it does not answer, `is
 * ending`.
 */
async function drainingText(pod: Pod): Promise<string> {
  try {
    const samples = await scrapePod(pod, ["serin_ztunnel_connections"]);
    const open = samples
      .filter(({ name, labels }) => name === "serin_ztunnel_connections" && labels["state"] === "draining")
      .reduce((sum, { value }) => sum + value, 0);
    return `draining, ${open} ${open === 1 ? "connection" : "connections"}`;
  } catch {
    return "is ending";
  }
}
