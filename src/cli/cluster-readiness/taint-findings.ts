import { istioLabels } from "../../api/istio/index.ts";
import { deploymentKind, podKind, untoleratedTaint, type PodSpec, type Taint } from "../../api/kubernetes/index.ts";
import { formatLabelSelector, keyOf } from "../../api/index.ts";
import { counted, firstNames } from "../../base/index.ts";
import { isDaemonless } from "../../install/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { warning, type ClusterFinding } from "./cluster-finding.ts";
import type { ExaminedNode } from "./node-findings.ts";

const subject = "taints";
const maxNamed = 5;
/** The taint of a node that somebody has cordoned. Kubernetes adds and removes it. */
const cordoned = "node.kubernetes.io/unschedulable";
/** Taints by which Kubernetes marks a node's state. Kubernetes removes them when the state ends. */
const ofNodeState = /^node(\.cloudprovider)?\.kubernetes\.io\//;
const keepingPodsOff: readonly Taint["effect"][] = ["NoSchedule", "NoExecute"];

/** The maximum number of Deployments whose pods are read too. There may be a Gateway in every namespace. */
const maxAsked = 20;

/**
 * Reports if every node has taints that some Deployment of the mesh does not tolerate. Without a mesh, reports if every
 * node has taints that keep new pods off. Running pods stay ready, so otherwise the fault appears only when a pod has
 * to start again. The mesh's DaemonSets tolerate every taint.
 */
export async function taintFindings(client: KubeClient, nodes: readonly ExaminedNode[]): Promise<ClusterFinding[]> {
  const tainted = nodes.filter(isOfDeployments).map(({ spec }) => (spec?.taints ?? []).filter(lasts));
  if (tainted.length === 0 || tainted.some((taints) => taints.length === 0)) return [];
  try {
    const [installed, ofGateways] = await Promise.all([
      homelessOf(client, istioLabels.component, tainted),
      homelessOf(client, istioLabels.gatewayManaged, tainted),
    ]);
    const remedy = remedyFor(tainted);
    if (installed.all + ofGateways.all === 0)
      return [finding(tainted, "Pods that do not tolerate them start nowhere", remedy.ofInstallation)];
    return [
      ...homelessFindings(tainted, installed.homeless, remedy.ofInstallation),
      ...homelessFindings(tainted, ofGateways.homeless, remedy.ofGateways),
    ];
  } catch (error) {
    // `meshFindings` already reports that this user may not list the mesh's objects.
    if (isKubeCode(error, "forbidden")) return [];
    throw error;
  }
}

/**
 * Whether the mesh's Deployments may run on the node. Virtual nodes, which run no DaemonSets, have taints of their
 * provider, which no Deployment should tolerate.
 */
function isOfDeployments({ metadata, status }: ExaminedNode): boolean {
  return status?.nodeInfo?.["operatingSystem"] !== "windows" && !isDaemonless(metadata?.labels);
}

/** Whether the taint keeps pods off until a person removes it. */
function lasts({ key, effect }: Taint): boolean {
  return keepingPodsOff.includes(effect) && (key === cordoned || !ofNodeState.test(key));
}

/** Counts the Deployments with the label, and names those whose next pod would find no node. */
async function homelessOf(
  client: KubeClient,
  labelSelector: string,
  tainted: readonly (readonly Taint[])[],
): Promise<{ readonly all: number; readonly homeless: readonly string[] }> {
  const { items } = await client.list(deploymentKind, { labelSelector });
  const mayStart = (spec: PodSpec | undefined): boolean =>
    spec !== undefined && tainted.some((taints) => untoleratedTaint(spec, taints, keepingPodsOff) === undefined);
  const homeless = items.filter(({ spec }) => !mayStart(spec?.template.spec));
  // Admission may add tolerations that the template lacks, such as those of a namespace (PodTolerationRestriction).
  const tolerated = await Promise.all(
    homeless.slice(0, maxAsked).map(async ({ metadata: { namespace = "" }, spec }) => {
      const pods = await client.list(podKind, {
        namespace,
        labelSelector: formatLabelSelector(spec?.selector ?? {}),
      });
      return pods.items.some((pod) => mayStart(pod.spec));
    }),
  );
  return { all: items.length, homeless: homeless.filter((_, index) => tolerated[index] !== true).map(keyOf) };
}

function homelessFindings(
  tainted: readonly (readonly Taint[])[],
  homeless: readonly string[],
  remedy: string,
): ClusterFinding[] {
  if (homeless.length === 0) return [];
  const names = firstNames(homeless, maxNamed);
  return [finding(tainted, `A new pod of these Deployments starts nowhere: ${names}`, remedy)];
}

function finding(tainted: readonly (readonly Taint[])[], what: string, remedy: string): ClusterFinding {
  const names = [...new Set(tainted.flat().map(formatTaint))].toSorted();
  const nodes = tainted.length === 1 ? "the only node" : `all ${counted(tainted.length, "node")}`;
  return warning(subject, "Cluster", `keep pods off ${nodes}: ${firstNames(names, maxNamed)}. ${what}`, remedy);
}

/** Formats a taint as `kubectl taint` takes it: `key=value:effect`. */
function formatTaint({ key, value = "", effect }: Taint): string {
  return `${key}${value === "" ? "" : `=${value}`}:${effect}`;
}

/** The values that make Deployments tolerate the taints of one node, which is enough for them to run. */
function remedyFor(tainted: readonly (readonly Taint[])[]): {
  readonly ofInstallation: string;
  readonly ofGateways: string;
} {
  const isCordon = ({ key }: Taint): boolean => key === cordoned;
  const tolerable = tainted.find((taints) => !taints.some(isCordon));
  if (tolerable === undefined || tainted.some((taints) => taints.every(isCordon))) {
    const uncordon = "kubectl uncordon NODE, for at least one node";
    return { ofInstallation: uncordon, ofGateways: uncordon };
  }
  const flags = tolerable.flatMap(({ key, value = "", effect }, index) => {
    const fields = { key, operator: value === "" ? "Exists" : "Equal", ...(value === "" ? {} : { value }), effect };
    return Object.entries(fields).map(
      ([name, text]) => `--set 'values.global.defaultTolerations[${index}].${name}=${text}'`,
    );
  });
  const orRemove = "Or remove the taints from a node: kubectl taint nodes NODE KEY-";
  return {
    ofInstallation: `let the mesh's pods tolerate the taints: serin install ${flags.join(" ")}, together with the flags of your installation. ${orRemove}. Your own pods need tolerations, too`,
    ofGateways: `let the proxies tolerate the taints: of a Gateway by a Deployment in the ConfigMap of its infrastructure.parametersRef, of all waypoints by values.global.waypoint.tolerations. ${orRemove}`,
  };
}
