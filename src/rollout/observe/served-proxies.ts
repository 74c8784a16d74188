import type { ConnectedProxy } from "../../api/serin/index.ts";
import { probeNamespace } from "../plan/index.ts";
import { absentFrom, reportedProxy } from "./absent-proxies.ts";
import type { ClusterView } from "./cluster-view.ts";
import { pilotPods, proxiesOf, reportedProxies } from "./pilot-answers.ts";

export async function servedProxies(view: ClusterView, revision: string): Promise<readonly ConnectedProxy[]> {
  return (await Promise.all(pilotPods(view, revision).map(async (pilot) => await proxiesOf(view, pilot)))).flat();
}

/**
 * The ids of gateways, waypoints, sidecars and machines that the revision's control plane serves. Proxies that are
 * between two connections count as served. Probes are excluded, because they are removed together with their revision.
 */
export async function dependentProxies(view: ClusterView, revision: string): Promise<string[]> {
  const pilots = pilotPods(view, revision);
  const reported = (await Promise.all(pilots.map(async (pilot) => await reportedProxies(view, pilot)))).flat();
  const absent = new Set(await absentFrom(view, reported.map(reportedProxy)));
  const dependents = reported
    .filter(({ type, namespace }) => type !== "ztunnel" && namespace !== probeNamespace)
    .filter(({ id, goneAt }) => goneAt === undefined || absent.has(id))
    .map(({ id }) => id);
  return [...new Set(dependents)];
}
