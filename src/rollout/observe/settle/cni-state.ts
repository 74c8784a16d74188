import type { EnrolledPodReport, EnrolledReport } from "../../../api/serin/index.ts";
import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { httpGet } from "../http-get.ts";

const agentPort = 8000;

/** What enrolled pods had when they were first looked at: by node, by uid. Begins anew with the engine. */
const firstLooks = new WeakMap<ClusterView, Map<string, ReadonlyMap<string, string>>>();

/** Whether a node's agent is ready, and its pods have the rules and sockets that they had. */
export async function cniState(view: ClusterView, { node, object }: Extract<SettleCondition, { type: "cniOfNode" }>): Promise<SettleState> {
  const agent = view.daemonSets.get(`${object.namespace ?? ""}/${object.name}`);
  const labels = agent?.spec?.selector.matchLabels ?? {};
  const pods = view.runningPods(labels).filter(({ metadata, spec }) => spec?.nodeName === node && metadata.namespace === object.namespace && metadata.deletionTimestamp === undefined);
  const [pod] = pods;
  if (pod === undefined) return { state: "waiting", detail: `no agent runs on ${node}` };
  const report = await enrolledReport(view, pod.status?.hostIP ?? pod.status?.podIP ?? "");
  // Upstream's agents tell nothing of it: their readiness must do.
  if (report === undefined) return { state: "met" };
  if (!report.ready) return { state: "waiting", detail: `the agent ${report.version} of ${node} is not ready` };
  const now = new Map(report.pods.map((enrolled) => [enrolled.uid, digestOf(enrolled)]));
  const looks = firstLooks.get(view) ?? new Map<string, ReadonlyMap<string, string>>();
  firstLooks.set(view, looks);
  const before = looks.get(node);
  looks.set(node, new Map([...now, ...[...(before ?? [])].filter(([uid]) => now.has(uid))]));
  const changed = report.pods.filter(({ uid }) => before?.has(uid) === true && before.get(uid) !== now.get(uid)).map(({ namespace, name }) => `${namespace}/${name}`);
  if (changed.length === 0) return { state: "met" };
  return { state: "failed", detail: `the agent ${report.version} of ${node} has changed rules or sockets of ${changed.slice(0, 3).join(", ")}` };
}

function digestOf({ rulesDigest, listeners }: EnrolledPodReport): string {
  return [rulesDigest, ...listeners.map(({ role, inode }) => `${role}=${inode}`).toSorted()].join(" ");
}

async function enrolledReport(view: ClusterView, address: string): Promise<EnrolledReport | undefined> {
  return await view.recently(`enrolled ${address}`, async () => {
    try {
      return JSON.parse(await httpGet(address, agentPort, "/debug/serin/enrolled")) as EnrolledReport;
    } catch (error) {
      if (error instanceof Error && error.message.endsWith("status 404")) return undefined;
      throw error;
    }
  });
}
