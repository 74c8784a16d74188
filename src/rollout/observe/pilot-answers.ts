import { messageOf, SerinError, transientError } from "../../base/index.ts";
import { istioLabels } from "../../api/istio/index.ts";
import { groupVersionOf, isMirrorPod, type KubernetesObject } from "../../api/index.ts";
import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import type { Deployment, Pod } from "../../api/kubernetes/index.ts";
import {
  engineId,
  podOfProxyId,
  type AcknowledgementReport,
  type ConnectedProxy,
  type ObjectReference,
  type RootsReport,
} from "../../api/serin/index.ts";
import { describeReference } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import type { PilotPod } from "./pilot-debug/pilot-pod.ts";
import { isStatus } from "./http-get.ts";
import { isReady } from "./pod-reason.ts";

const controlPlaneLabels = { app: "istiod" } as const;

/** The running pods of control planes, both ours and upstream's, including those that are ending. */
export function controlPlanePods(view: ClusterView): Pod[] {
  return view.runningPods(controlPlaneLabels).filter((pod) => isControlPlane(view, pod));
}

export function controlPlaneDeployments(
  view: Pick<ClusterView, "deployments" | "controlPlaneNamespaces">,
): readonly Deployment[] {
  return view.deployments.list().filter((deployment) => isControlPlane(view, deployment));
}

/**
 * Whether a pod or Deployment belongs to a control plane, so that the engine may wait for it and send it tokens. Users
 * may label pods in their own namespaces, so the label does not suffice: the namespace must be that of an injector's
 * Service. Mirror pods do not count, because every node may create them in any namespace.
 */
function isControlPlane(view: Pick<ClusterView, "controlPlaneNamespaces">, object: KubernetesObject): boolean {
  const { labels = {}, namespace = "" } = object.metadata;
  return (
    labels["app"] === controlPlaneLabels.app && view.controlPlaneNamespaces().has(namespace) && !isMirrorPod(object)
  );
}

/**
 * Whether a pod or DaemonSet belongs to a ztunnel: it has the label, is in a namespace of control planes or of the
 * cluster's own pods, and is no mirror pod.
 */
export function isZtunnel(view: Pick<ClusterView, "controlPlaneNamespaces">, object: KubernetesObject): boolean {
  const { labels = {}, namespace = "" } = object.metadata;
  return (
    labels["app"] === "ztunnel" &&
    ztunnelNamespaces(view.controlPlaneNamespaces()).has(namespace) &&
    !isMirrorPod(object)
  );
}

export function controlPlaneRevision({ metadata: { labels = {} } }: KubernetesObject): string {
  return labels[istioLabels.revision] ?? "default";
}

/** The ready pods of control planes, both ours and upstream's: of all of them, or of one revision. */
export function pilotPods(view: ClusterView, revision?: string): PilotPod[] {
  return controlPlanePods(view)
    .filter((pod) => pod.metadata.deletionTimestamp === undefined && isReady(pod))
    .map(pilotPod)
    .filter((pilot) => revision === undefined || pilot.revision === revision);
}

export function pilotPod(pod: Pod): PilotPod {
  return {
    name: pod.metadata.name ?? "",
    namespace: pod.metadata.namespace ?? "",
    revision: controlPlaneRevision(pod),
    address: pod.status?.podIP ?? "",
    serviceAccount: pod.spec?.serviceAccountName ?? "default",
    rootConfigMap: rootConfigMapOf(pod.spec),
  };
}

/** The ConfigMap from which data planes read this control plane's root certificate (`global.trustBundleName`). */
export function rootConfigMapOf(spec: Pod["spec"]): string {
  const variables = (spec?.containers ?? []).flatMap(({ env = [] }) => env);
  const named = variables.find(({ name }) => name === "PILOT_CA_CERT_CONFIGMAP")?.value ?? "";
  return named === "" ? "istio-ca-root-cert" : named;
}

export interface PilotQuestion {
  readonly path: string;
  readonly about: string;
}

const servedQuestion = "which proxies it serves";
export const rootsQuestion: PilotQuestion = { path: "/debug/serin/roots", about: "which roots it hands out" };

/**
 * The proxies that a pilot serves. A pilot of ours omits those that have not proven their identity. Upstream's pilots
 * report all of their proxies, at `/debug/syncz`, without reasons for rejections.
 */
export async function proxiesOf(view: ClusterView, pilot: PilotPod): Promise<readonly ConnectedProxy[]> {
  return (await reportedProxies(view, pilot)).filter(({ goneAt }) => goneAt === undefined);
}

/** The pod of a proxy. Undefined if the pod is gone, or if the proxy runs on a machine. */
export function podOfProxy(view: ClusterView, id: string): Pod | undefined {
  const { name, namespace } = podOfProxyId(id);
  return view.pods.get(`${namespace}/${name}`);
}

export async function reportedProxies(view: ClusterView, pilot: PilotPod): Promise<readonly ConnectedProxy[]> {
  return await view.recently(`proxies ${pilot.address}`, async () => {
    const own = await answerOf<readonly ConnectedProxy[]>(view, pilot, {
      path: "/debug/serin/proxies?gone=true",
      about: servedQuestion,
    });
    return (
      own?.filter(({ unproven }) => unproven !== true) ??
      (await syncedProxies(view, pilot)).map((proxy) => connectedProxy(proxy, pilot))
    );
  });
}

/** Returns undefined if the pilot is upstream's. */
export async function acknowledgementOf(
  view: ClusterView,
  pilot: PilotPod,
  object: ObjectReference,
  resourceVersion: string,
): Promise<AcknowledgementReport | undefined> {
  const query = new URLSearchParams({
    group: groupVersionOf(object.apiVersion).group,
    kind: object.kind,
    namespace: object.namespace ?? "",
    name: object.name,
    resourceVersion,
  });
  return await answerOf<AcknowledgementReport>(view, pilot, {
    path: `/debug/serin/acknowledged?${query.toString()}`,
    about: `which proxies have acknowledged ${describeReference(object)}`,
  });
}

/** Returns undefined if the pilot is upstream's. */
export async function rootsOf(view: ClusterView, pilot: PilotPod): Promise<RootsReport | undefined> {
  return await view.recently(
    `roots ${pilot.address}`,
    async () => await answerOf<RootsReport>(view, pilot, rootsQuestion),
  );
}

/**
 * One element of upstream's `/debug/syncz`. `<type>_sent` and `<type>_acked` are nonces. The list contains the engine
 * itself, because its request is a connection too.
 */
type SyncedProxy = Readonly<Record<string, string>>;

async function syncedProxies(view: ClusterView, pilot: PilotPod): Promise<readonly SyncedProxy[]> {
  const question = { path: "/debug/syncz", about: servedQuestion };
  const synced = parsedAnswer<readonly SyncedProxy[]>(view, pilot, question, await askPilot(view, pilot, question));
  const own = engineId(pilot.namespace);
  return synced.filter(({ proxy }) => proxy !== own);
}

type Asking = Pick<ClusterView, "pilotDebug" | "silentPods">;

/** Requests one of a pilot's debug pages. See {@link unanswered} for the errors. */
export async function askPilot(view: Asking, pilot: PilotPod, question: PilotQuestion): Promise<string> {
  try {
    const text = await view.pilotDebug.ask(pilot, question.path);
    view.silentPods.answered(keyOf(pilot));
    return text;
  } catch (error) {
    throw unanswered(view, pilot, question, error);
  }
}

/**
 * The error for a request that a pilot has not answered, with the code and the reason of `fault`. The message also
 * contains since when the pilot is silent, and what a person can do.
 */
export function unanswered(
  { silentPods }: Pick<ClusterView, "silentPods">,
  pilot: PilotPod,
  { about }: PilotQuestion,
  fault: unknown,
): SerinError {
  const { code = "pod-unreachable", hint, reason } = fault instanceof SerinError ? fault : {};
  const { name, namespace, revision } = pilot;
  const since = silentPods.failed(keyOf(pilot));
  const command =
    code === "token-refused" && hint !== undefined
      ? hint
      : code === "timeout"
        ? "kubectl get --raw '/readyz?verbose'"
        : `kubectl -n ${namespace} logs ${name}`;
  return transientError(
    code,
    `istiod ${namespace}/${name} of revision ${revision} has not reported ${about} since ${since}: ${messageOf(fault)}; the engine asks again; if this lasts, see ${command}`,
    { cause: fault, ...(reason === undefined ? {} : { reason }) },
  );
}

function keyOf({ namespace, name }: PilotPod): string {
  return `${namespace}/${name}`;
}

function connectedProxy(proxy: SyncedProxy, { revision }: PilotPod): ConnectedProxy {
  const id = proxy["proxy"] ?? "";
  const words = Object.keys(proxy).flatMap((key) => (key.endsWith("_sent") ? [key.slice(0, -"_sent".length)] : []));
  return {
    id,
    type: proxy["proxy_type"] ?? "",
    namespace: podOfProxyId(id).namespace,
    node: "",
    version: proxy["istio_version"] ?? "",
    revision,
    connectedAt: "",
    types: Object.fromEntries(
      words.map((word) => [
        word,
        { sent: proxy[`${word}_sent`] ?? "", acked: proxy[`${word}_acked`] ?? "", nacked: "", reason: null },
      ]),
    ),
  };
}

/** Returns undefined if the pilot does not know the path. */
export async function answerOf<Answer>(
  view: Asking,
  pilot: PilotPod,
  question: PilotQuestion,
): Promise<Answer | undefined> {
  // No request is sent, so `silentPods` learns nothing.
  if (view.pilotDebug.lacks(pilot, question.path)) return undefined;
  let text: string;
  try {
    text = await askPilot(view, pilot, question);
  } catch (error) {
    if (!isStatus(error, 404)) throw error;
    view.silentPods.answered(keyOf(pilot));
    return undefined;
  }
  return parsedAnswer<Answer>(view, pilot, question, text);
}

function parsedAnswer<Answer>(view: Asking, pilot: PilotPod, question: PilotQuestion, text: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch {
    const fault = transientError("answer-unreadable", `${pilot.address} sent an answer that is not JSON`);
    throw unanswered(view, pilot, question, fault);
  }
}
