import { istioLabels } from "../../api/istio/index.ts";
import {
  deploymentKind,
  untoleratedTaint,
  type Deployment,
  type PodSpec,
  type Taint,
} from "../../api/kubernetes/index.ts";
import { keyOf } from "../../api/index.ts";
import { counted, firstNames } from "../../base/index.ts";
import { isDaemonless } from "../../install/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import { warning, type ClusterFinding } from "./cluster-finding.ts";
import type { ExaminedNode } from "./node-findings.ts";

const subject = "taints";
const maxNamed = 5;
/** The taint of a node that somebody has cordoned. Kubernetes adds and removes it. */
const cordoned = "node.kubernetes.io/unschedulable";
/** Taints by which Kubernetes marks a node's state. They disappear when the state passes. */
const ofNodeState = /^node(\.cloudprovider)?\.kubernetes\.io\//;
const keepingPodsOff: readonly Taint["effect"][] = ["NoSchedule", "NoExecute"];

/**
 * Reports that every node keeps pods off by taints which the mesh's Deployments do not tolerate, or without a mesh, any
 * pod. The pods that run stay ready, so nothing else shows it before the next one has to start. The mesh's DaemonSets
 * tolerate every taint.
 */
export async function taintFindings(client: KubeClient, nodes: readonly ExaminedNode[]): Promise<ClusterFinding[]> {
  const tainted = nodes
    .filter(
      ({ metadata, status }) => status?.nodeInfo?.["operatingSystem"] !== "windows" && !isDaemonless(metadata?.labels),
    )
    .map(({ spec }) => (spec?.taints ?? []).filter(lasts));
  if (tainted.length === 0 || tainted.some((taints) => taints.length === 0)) return [];
  const deployments = await ownDeployments(client);
  // A user who may not list Deployments is told so by the finding about the mesh.
  if (deployments === undefined) return [];
  const homeless = deployments.filter(({ spec }) => !tainted.some((taints) => mayStart(spec?.template.spec, taints)));
  if (deployments.length > 0 && homeless.length === 0) return [];
  const names = [...new Set(tainted.flat().map(formatTaint))].toSorted();
  const detail = `keep pods off ${tainted.length === 1 ? "the only node" : `all ${counted(tainted.length, "node")}`}: ${firstNames(names, maxNamed)}`;
  return [
    deployments.length === 0
      ? warning(subject, "Cluster", `${detail}. Pods that do not tolerate them start nowhere`, remedyFor(tainted))
      : warning(
          subject,
          "Cluster",
          `${detail}. A new pod of these Deployments starts nowhere: ${firstNames(homeless.map(keyOf), maxNamed)}`,
          remedyFor(tainted),
        ),
  ];
}

/** Whether the taint keeps pods off until a person removes it. */
function lasts({ key, effect }: Taint): boolean {
  return keepingPodsOff.includes(effect) && (key === cordoned || !ofNodeState.test(key));
}

function mayStart(spec: PodSpec | undefined, taints: readonly Taint[]): boolean {
  return spec !== undefined && untoleratedTaint(spec, taints, keepingPodsOff) === undefined;
}

/** The Deployments of the mesh, of which DaemonSets are no part. Undefined if the user may not list them. */
async function ownDeployments(client: KubeClient): Promise<readonly Deployment[] | undefined> {
  const lists = await Promise.all(
    [istioLabels.component, istioLabels.gatewayManaged].map(async (labelSelector) =>
      undefinedIfForbidden(client.list(deploymentKind, { labelSelector })),
    ),
  );
  const found = lists.flatMap((list) => (list === undefined ? [] : [list.items]));
  return found.length < lists.length ? undefined : found.flat();
}

/** As in `kubectl taint`: `key=value:effect`. */
function formatTaint({ key, value = "", effect }: Taint): string {
  return `${key}${value === "" ? "" : `=${value}`}:${effect}`;
}

/** The remedy. The values tolerate the taints of one node, which is enough for the mesh's Deployments. */
function remedyFor(tainted: readonly (readonly Taint[])[]): string {
  const tolerable = tainted.find((taints) => taints.every(({ key }) => key !== cordoned));
  if (tolerable === undefined) return "kubectl uncordon NODE, for at least one node";
  const flags = tolerable.flatMap(({ key, value = "", effect }, index) => {
    const fields = { key, operator: value === "" ? "Exists" : "Equal", ...(value === "" ? {} : { value }), effect };
    return Object.entries(fields).map(
      ([name, text]) => `--set 'values.global.defaultTolerations[${index}].${name}=${text}'`,
    );
  });
  return `let the mesh's pods tolerate the taints: serin install ${flags.join(" ")}, together with the flags of your installation. Or remove the taints from a node: kubectl taint nodes NODE KEY-. Your own pods need tolerations, too`;
}
