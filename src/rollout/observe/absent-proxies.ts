import type { ConnectedProxy } from "../../api/serin/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { pilotPods, podOfProxy, reportedProxies } from "./pilot-answers.ts";
import type { PilotPod } from "./pilot-debug/pilot-pod.ts";
import { isLive } from "./sidecar-workloads.ts";

export interface ReportedProxy {
  /** `<pod>.<namespace>` of the proxy. */
  readonly id: string;
  readonly connected: boolean;
}

/**
 * The ids of proxies that are between two connections: a control plane's pod has reported that it lost them, no control
 * plane's pod serves them now, and their own pods still run. Such a proxy still uses the configuration that it got
 * last. A control plane reports a lost proxy only for a short while, so the engine does not wait long for a proxy that
 * stays away.
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
 * The result of {@link absentAmong} for `reported`, which some control planes' pods have reported. A proxy that another
 * pod serves is not absent. A pod that does not answer counts as serving none.
 */
export async function absentFrom(view: ClusterView, reported: readonly ReportedProxy[]): Promise<readonly string[]> {
  if (reported.every(({ connected }) => connected)) return [];
  const all = await Promise.all(
    pilotPods(view).map(async (pilot) => await reportsOf(view, pilot).catch((): readonly ReportedProxy[] => [])),
  );
  return absentAmong(view, [...reported, ...all.flat().filter(({ connected }) => connected)]);
}

export async function reportsOf(view: ClusterView, pilot: PilotPod): Promise<readonly ReportedProxy[]> {
  return (await reportedProxies(view, pilot)).map(reportedProxy);
}

export function reportedProxy({ id, goneAt }: Pick<ConnectedProxy, "id" | "goneAt">): ReportedProxy {
  return { id, connected: goneAt === undefined };
}
