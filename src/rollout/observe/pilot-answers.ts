import { SerinError } from "../../base/index.ts";
import type { KubernetesObject } from "../../api/index.ts";
import { ztunnelNamespaces } from "../../api/mesh-namespaces/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import type { AcknowledgementReport, ConnectedProxy, ObjectReference, RootsReport } from "../../api/serin/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { httpGet } from "./http-get.ts";

const debugPort = 8080;
const revisionLabel = "istio.io/rev";
const controlPlaneLabels = { app: "istiod" } as const;

export interface PilotPod {
  readonly name: string;
  readonly namespace: string;
  readonly revision: string;
  readonly address: string;
  readonly serviceAccount: string;
}

/** The running pods of control planes, both ours and upstream's, including those that are ending. */
export function controlPlanePods(view: ClusterView): Pod[] {
  return view.runningPods(controlPlaneLabels).filter((pod) => isControlPlane(view, pod));
}

/**
 * Whether a pod or Deployment belongs to a control plane. Everybody may label pods of their own namespace, so the
 * namespace must be one that an injector leads to. Otherwise the engine would wait for made-up control planes, and send
 * them tokens.
 */
export function isControlPlane(
  view: Pick<ClusterView, "controlPlaneNamespaces">,
  { metadata: { labels = {}, namespace = "" } }: KubernetesObject,
): boolean {
  return labels["app"] === controlPlaneLabels.app && view.controlPlaneNamespaces().has(namespace);
}

/** Whether a pod is a ztunnel: one with its label, where control planes or the cluster's own pods are. */
export function isZtunnel(
  view: Pick<ClusterView, "controlPlaneNamespaces">,
  { metadata: { labels = {}, namespace = "" } }: KubernetesObject,
): boolean {
  return labels["app"] === "ztunnel" && ztunnelNamespaces(view.controlPlaneNamespaces()).has(namespace);
}

/** The revision of a control plane's pod or Deployment. */
export function controlPlaneRevision({ metadata: { labels = {} } }: KubernetesObject): string {
  return labels[revisionLabel] ?? "default";
}

/** The ready pods of the control plane, both ours and upstream's. */
export function pilotPods(view: ClusterView, revision?: string): PilotPod[] {
  return controlPlanePods(view)
    .filter(
      (pod) =>
        pod.metadata.deletionTimestamp === undefined &&
        pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true,
    )
    .map((pod) => ({
      name: pod.metadata.name ?? "",
      namespace: pod.metadata.namespace ?? "",
      revision: controlPlaneRevision(pod),
      address: pod.status?.podIP ?? "",
      serviceAccount: pod.spec?.serviceAccountName ?? "default",
    }))
    .filter((pilot) => revision === undefined || pilot.revision === revision);
}

/** All proxies that a pilot serves. Upstream's pilots report them at `/debug/syncz`, without reasons for rejections. */
export async function proxiesOf(view: ClusterView, pilot: PilotPod): Promise<readonly ConnectedProxy[]> {
  return await view.recently(`proxies ${pilot.address}`, async () => {
    const own = await answerOf<readonly ConnectedProxy[]>(view, pilot, "/debug/serin/proxies");
    return own ?? (await syncedProxies(view, pilot)).map((proxy) => connectedProxy(proxy, pilot));
  });
}

/** Undefined if the pilot is upstream's. */
export async function acknowledgementOf(
  view: ClusterView,
  pilot: PilotPod,
  object: ObjectReference,
  resourceVersion: string,
): Promise<AcknowledgementReport | undefined> {
  const group = object.apiVersion.includes("/") ? object.apiVersion.slice(0, object.apiVersion.indexOf("/")) : "";
  const query = new URLSearchParams({
    group,
    kind: object.kind,
    namespace: object.namespace ?? "",
    name: object.name,
    resourceVersion,
  });
  return await answerOf<AcknowledgementReport>(view, pilot, `/debug/serin/acknowledged?${query.toString()}`);
}

/** Undefined if the pilot is upstream's. */
export async function rootsOf(view: ClusterView, pilot: PilotPod): Promise<RootsReport | undefined> {
  return await view.recently(
    `roots ${pilot.address}`,
    async () => await answerOf<RootsReport>(view, pilot, "/debug/serin/roots"),
  );
}

/** One element of upstream's `/debug/syncz`: `<type>_sent` and `<type>_acked` are nonces. */
type SyncedProxy = Readonly<Record<string, string>>;

async function syncedProxies(view: ClusterView, pilot: PilotPod): Promise<readonly SyncedProxy[]> {
  return JSON.parse(await askPilot(view, pilot, "/debug/syncz")) as readonly SyncedProxy[];
}

/** Sends a GET to a pilot's debug port. Pilots require a token of their own namespace, and old pilots require none. */
export async function askPilot(
  { pilotTokens }: Pick<ClusterView, "pilotTokens">,
  { namespace, serviceAccount, address }: Pick<PilotPod, "namespace" | "serviceAccount" | "address">,
  path: string,
): Promise<string> {
  const proof = (token: string): Record<string, string> => ({ authorization: `Bearer ${token}` });
  const kept = pilotTokens.kept(namespace, serviceAccount);
  try {
    return await httpGet(address, debugPort, path, kept === undefined ? {} : proof(kept));
  } catch (error) {
    if (!isStatus(error, 401)) throw error;
    // A token ends with its service account, and a control plane that was removed and installed again has another
    // account.
    pilotTokens.forget(namespace, serviceAccount);
    return await httpGet(address, debugPort, path, proof(await pilotTokens.of(namespace, serviceAccount)));
  }
}

function isStatus(error: unknown, status: number): boolean {
  return error instanceof SerinError && error.code === "http-status" && error.reason === String(status);
}

function connectedProxy(proxy: SyncedProxy, { revision }: PilotPod): ConnectedProxy {
  const id = proxy["proxy"] ?? "";
  const words = Object.keys(proxy).flatMap((key) => (key.endsWith("_sent") ? [key.slice(0, -"_sent".length)] : []));
  return {
    id,
    type: proxy["proxy_type"] ?? "",
    namespace: id.slice(id.lastIndexOf(".") + 1),
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

async function answerOf<Answer>(view: ClusterView, pilot: PilotPod, path: string): Promise<Answer | undefined> {
  try {
    return JSON.parse(await askPilot(view, pilot, path)) as Answer;
  } catch (error) {
    if (isStatus(error, 404)) return undefined;
    throw error;
  }
}
