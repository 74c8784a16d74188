import { messageOf } from "../../base/index.ts";
import type { AcknowledgementReport, ConnectedProxy, ObjectReference } from "../../api/serin/index.ts";
import type { CheckObservation, SettleState } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { httpGet } from "./http-get.ts";

const debugPort = 8080;

export interface PilotPod {
  readonly name: string;
  readonly revision: string;
  readonly address: string;
}

export function pilotPods(view: ClusterView): PilotPod[] {
  return view
    .runningPods({ app: "istiod" })
    .filter((pod) => pod.metadata.deletionTimestamp === undefined && pod.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true)
    .map((pod) => ({
      name: pod.metadata.name ?? "",
      revision: pod.metadata.labels?.["istio.io/rev"] ?? "default",
      address: pod.status?.podIP ?? "",
    }));
}

/** Whether every pilot has processed this version of the object, and every connected proxy has acknowledged what it caused. */
export async function observeAcknowledged(view: ClusterView, object: ObjectReference, resourceVersion: string): Promise<SettleState> {
  const group = object.apiVersion.includes("/") ? object.apiVersion.slice(0, object.apiVersion.indexOf("/")) : "";
  const query = new URLSearchParams({ group, kind: object.kind, namespace: object.namespace ?? "", name: object.name, resourceVersion });
  const pilots = pilotPods(view);
  if (pilots.length === 0) return { state: "waiting", detail: "no control plane is ready" };
  for (const pilot of pilots) {
    let answer: AcknowledgementReport;
    try {
      answer = JSON.parse(await httpGet(pilot.address, debugPort, `/debug/serin/acknowledged?${query.toString()}`)) as AcknowledgementReport;
    } catch (error) {
      return { state: "waiting", detail: messageOf(error) };
    }
    if (!answer.processed) return { state: "waiting", detail: `${pilot.name} has not processed it yet` };
    for (const proxy of answer.proxies) {
      if (proxy.rejected !== null) return { state: "failed", detail: `${proxy.id} rejected the configuration of ${pilot.name}: ${clipped(proxy.rejected.reason)}` };
      if (proxy.connected && !proxy.acknowledged) return { state: "waiting", detail: `${proxy.id} has not acknowledged yet` };
    }
  }
  return { state: "met" };
}

async function proxiesOf(pilot: PilotPod): Promise<readonly ConnectedProxy[]> {
  return JSON.parse(await httpGet(pilot.address, debugPort, "/debug/serin/proxies")) as readonly ConnectedProxy[];
}

const reasonCharacters = 240;

/** A proxy may name every resource that it rejected; the first ones are evidence enough. */
function clipped(reason: string): string {
  return reason.length > reasonCharacters ? `${reason.slice(0, reasonCharacters)}…` : reason;
}

/** Every proxy that the revision's control plane serves, and what it rejected. */
async function rejections(view: ClusterView, revision: string): Promise<{ readonly proxies: readonly ConnectedProxy[]; readonly rejected: readonly string[] }> {
  const pilots = pilotPods(view).filter((pilot) => pilot.revision === revision);
  const proxies = (await Promise.all(pilots.map(proxiesOf))).flat();
  const rejected = proxies.flatMap(({ id, types }) =>
    Object.entries(types).flatMap(([typeUrl, { reason }]) => (reason === null ? [] : [`${id} rejected ${typeUrl.slice(typeUrl.lastIndexOf("/") + 1)}: ${clipped(reason)}`])),
  );
  return { proxies, rejected };
}

export async function observeRejections(view: ClusterView, revision: string): Promise<CheckObservation> {
  try {
    const { proxies, rejected } = await rejections(view, revision);
    const [first] = rejected;
    if (first !== undefined) return { type: "verdict", verdict: "fail", evidence: first };
    if (proxies.length === 0) return { type: "verdict", verdict: "wait", evidence: `no proxy is connected to ${revision}` };
    return { type: "verdict", verdict: "pass", evidence: `${proxies.length} proxies of ${revision}, none has rejected anything` };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}

export async function observeNotRejected(view: ClusterView, revision: string): Promise<SettleState> {
  const seen = await observeRejections(view, revision);
  return seen.type === "verdict" && seen.verdict === "fail" ? { state: "failed", detail: seen.evidence } : { state: "met" };
}

/** Gateways, waypoints and sidecars that the revision's control plane still serves, by name. */
export async function dependentProxies(view: ClusterView, revision: string): Promise<string[]> {
  const pilots = pilotPods(view).filter((pilot) => pilot.revision === revision);
  const proxies = (await Promise.all(pilots.map(proxiesOf))).flat();
  return proxies.filter(({ type }) => type !== "ztunnel").map(({ id }) => id);
}
