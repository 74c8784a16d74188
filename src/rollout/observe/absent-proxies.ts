import type { ConnectedProxy } from "../../api/serin/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { pilotPods, podOfProxy, reportedProxies } from "./pilot-answers.ts";
import type { PilotPod } from "./pilot-debug/pilot-pod.ts";
import { isLive } from "./sidecar-workloads.ts";

/** A proxy in the report of a control plane's pod. */
export interface ReportedProxy {
  /** The name of the proxy's pod and its namespace, with a dot between them. */
  readonly id: string;
  readonly connected: boolean;
}

/**
 * The ids of proxies that are between two connections: a control plane's pod has lost them a short while ago, no
 * control plane's pod serves them now, and their own pods still run. They use the configuration that they got last.
 * Control planes end each connection from time to time. They remember lost proxies only for a short while, so the
 * engine does not wait long for a proxy that stays away.
 */
export function absentAmong(view: ClusterView, reported: readonly ReportedProxy[]): readonly string[] {
  const connected = new Set(reported.filter((proxy) => proxy.connected).map(({ id }) => id));
  const gone = new Set(reported.filter((proxy) => !proxy.connected && !connected.has(proxy.id)).map(({ id }) => id));
  return [...gone].filter((id) => {
    const pod = podOfProxy(view, id);
    return pod !== undefined && isLive(pod);
  });
}

/**
 * The absent proxies among those that some pods of control planes have reported. Other pods that do not answer count as
 * serving none.
 */
export async function absentFrom(view: ClusterView, reported: readonly ReportedProxy[]): Promise<readonly string[]> {
  if (reported.every(({ connected }) => connected)) return [];
  const all = await Promise.all(
    pilotPods(view).map(async (pilot) => await reportsOf(view, pilot).catch((): readonly ReportedProxy[] => [])),
  );
  return absentAmong(view, [...reported, ...all.flat().filter(({ connected }) => connected)]);
}

/** The proxies that a pilot serves, and those that it has lost a short while ago. */
export async function reportsOf(view: ClusterView, pilot: PilotPod): Promise<readonly ReportedProxy[]> {
  return (await reportedProxies(view, pilot)).map(reportedProxy);
}

export function reportedProxy({ id, goneAt }: Pick<ConnectedProxy, "id" | "goneAt">): ReportedProxy {
  return { id, connected: goneAt === undefined };
}
