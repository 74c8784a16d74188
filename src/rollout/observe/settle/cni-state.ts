import { messageOf, transientError } from "../../../base/index.ts";
import type { Pod } from "../../../api/kubernetes/index.ts";
import type { EnrolledPodReport, EnrolledReport } from "../../../api/serin/index.ts";
import type { SettleCondition, SettleState } from "../../decide/index.ts";
import type { ClusterView } from "../cluster-view.ts";
import { httpGet, isStatus } from "../http-get.ts";

const agentPort = 8000;

/** The first report of each enrolled pod, by node and pod uid. Lost when the engine restarts. */
const firstLooks = new WeakMap<ClusterView, Map<string, ReadonlyMap<string, EnrolledPodReport>>>();

/**
 * Whether a node's CNI agent is ready, and the node's pods still have the same rules and sockets as in their first
 * report.
 */
export async function cniState(
  view: ClusterView,
  { node, object }: Extract<SettleCondition, { type: "cniOfNode" }>,
): Promise<SettleState> {
  const agent = view.daemonSets.get(`${object.namespace ?? ""}/${object.name}`);
  const labels = agent?.spec?.selector.matchLabels ?? {};
  const pods = view
    .runningPods(labels)
    .filter(
      ({ metadata, spec }) =>
        spec?.nodeName === node && metadata.namespace === object.namespace && metadata.deletionTimestamp === undefined,
    );
  const [pod] = pods;
  if (pod === undefined) return { state: "waiting", detail: `no agent runs on ${node}` };
  const report = await enrolledReport(view, pod, node);
  // Agents of upstream Istio have no such report. They are ready, so nothing else can be checked.
  if (report === undefined) return { state: "met" };
  if (!report.ready) return { state: "waiting", detail: `the agent ${report.version} of ${node} is not ready` };
  const looks = firstLooks.get(view) ?? new Map<string, ReadonlyMap<string, EnrolledPodReport>>();
  firstLooks.set(view, looks);
  const before = looks.get(node) ?? new Map<string, EnrolledPodReport>();
  // A pod gets its first report only when the agent has taken it over.
  const known = report.pods
    .filter((pod) => before.has(pod.uid) || isComplete(pod))
    .map((pod) => [pod.uid, before.get(pod.uid) ?? pod] as const);
  looks.set(node, new Map(known));
  const changes = report.pods.flatMap((pod) => changeOf(before.get(pod.uid), pod));
  const changed = changes.filter(({ missing }) => !missing).map(({ name }) => name);
  if (changed.length > 0)
    return {
      state: "failed",
      detail: `the agent ${report.version} of ${node} has changed rules or sockets of ${changed.slice(0, 3).join(", ")}`,
    };
  if (changes.length === 0) return { state: "met" };
  return {
    state: "waiting",
    detail: `the agent ${report.version} of ${node} has not taken over ${changes
      .slice(0, 3)
      .map(({ name }) => name)
      .join(", ")} yet`,
  };
}

function isComplete({ rulesDigest, listeners, owner }: EnrolledPodReport): boolean {
  return rulesDigest !== "" && owner !== "" && listeners.length > 0;
}

/** The changes between two reports. `missing`: the later report lacks a value, for example while an agent starts. */
function changeOf(
  before: EnrolledPodReport | undefined,
  now: EnrolledPodReport,
): { readonly name: string; readonly missing: boolean }[] {
  if (before === undefined) return [];
  const name = `${now.namespace}/${now.name}`;
  const inodes = new Map(now.listeners.map(({ role, inode }) => [role, inode]));
  const otherRules = now.rulesDigest !== "" && now.rulesDigest !== before.rulesDigest;
  if (otherRules || before.listeners.some(({ role, inode }) => inodes.has(role) && inodes.get(role) !== inode))
    return [{ name, missing: false }];
  return now.rulesDigest === "" || before.listeners.some(({ role }) => !inodes.has(role))
    ? [{ name, missing: true }]
    : [];
}

/** The CNI agent's report of its enrolled pods. Undefined if the agent has no such report. */
async function enrolledReport(view: ClusterView, pod: Pod, node: string): Promise<EnrolledReport | undefined> {
  const address = pod.status?.hostIP ?? pod.status?.podIP ?? "";
  return await view.recently(`enrolled ${address}`, async () => {
    try {
      return JSON.parse(await httpGet(address, agentPort, "/debug/serin/enrolled")) as EnrolledReport;
    } catch (fault) {
      if (isStatus(fault, 404)) return undefined;
      const { namespace = "", name = "" } = pod.metadata;
      throw transientError(
        "pod-unreachable",
        `the CNI agent ${namespace}/${name} of ${node} does not report its enrolled pods: ${messageOf(fault)}; the engine asks again; if this lasts, see kubectl -n ${namespace} logs ${name}`,
        { cause: fault },
      );
    }
  });
}
