import type { Pod } from "../../../api/kubernetes/index.ts";
import type { ObjectReference } from "../../../api/serin/index.ts";
import type { SettleState } from "../../decide/index.ts";
import { probeNamespace, ztunnelOwnerAnnotation } from "../../plan/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { scrapePod } from "../checks/scrape.ts";
import { dependentProxies } from "../pilots.ts";
import { probePodState } from "../probe-start.ts";

export function podState(view: ClusterView, { name, namespace = "" }: ObjectReference, nowMs: number): SettleState {
  const pod = view.pods.get(`${namespace}/${name}`);
  if (namespace === probeNamespace) return probePodState(pod, name, nowMs);
  const ready = pod?.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True") === true;
  return ready ? { state: "met" } : { state: "waiting", detail: `${namespace}/${name} is not ready` };
}

export function ownerState(view: ClusterView, { name, namespace = "" }: ObjectReference, revision: string): SettleState {
  const pod = view.pods.get(`${namespace}/${name}`);
  if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return { state: "met" };
  const owner = pod.metadata.annotations?.[ztunnelOwnerAnnotation];
  return owner === revision ? { state: "met" } : { state: "waiting", detail: `${namespace}/${name} is owned by ${owner ?? "no ztunnel"}` };
}

export async function podsGoneState(view: ClusterView, namespace: string, labels: Readonly<Record<string, string>>): Promise<SettleState> {
  const left = view.runningPods(labels).filter((pod) => pod.metadata.namespace === namespace);
  if (left.length === 0) return { state: "met" };
  const details = await Promise.all(left.map(async (pod) => `${pod.metadata.name ?? ""} ${await drainingText(pod)}`));
  return { state: "waiting", detail: details.join("; ") };
}

export async function dependentState(view: ClusterView, revision: string): Promise<SettleState> {
  const owned = view.pods.list().filter(({ metadata }) => metadata.annotations?.[ztunnelOwnerAnnotation] === revision && metadata.namespace !== "serin-probes");
  const names = [...owned.map(({ metadata }) => `pod ${metadata.namespace ?? ""}/${metadata.name ?? ""}`), ...(await dependentProxies(view, revision))];
  return names.length === 0 ? { state: "met" } : { state: "waiting", detail: `${names.length} still depend on ${revision}: ${names.slice(0, 5).join(", ")}` };
}

/** `draining, 1 connection`, as the ztunnel that leaves counts it. */
async function drainingText(pod: Pod): Promise<string> {
  try {
    const samples = await scrapePod(pod);
    const open = samples.filter(({ name, labels }) => name === "serin_ztunnel_connections" && labels["state"] === "draining").reduce((sum, { value }) => sum + value, 0);
    return `draining, ${open} ${open === 1 ? "connection" : "connections"}`;
  } catch {
    return "is ending";
  }
}
