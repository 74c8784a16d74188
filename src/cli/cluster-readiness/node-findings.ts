import { nodeKind, type Taint } from "../../api/kubernetes/index.ts";
import { isDaemonless } from "../../install/index.ts";
import { undefinedIfForbidden, type KubeClient } from "../../kube/index.ts";
import { isSupported, majorMinor, oldestMinor } from "./cluster-facts.ts";
import { fault, good, warning, type ClusterFinding } from "./cluster-finding.ts";

export interface ExaminedNode {
  readonly metadata?: { readonly name?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: {
    readonly providerID?: string;
    readonly podCIDRs?: readonly string[];
    readonly taints?: readonly Taint[];
  };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
    readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
    readonly nodeInfo?: Readonly<Record<string, string>>;
  };
}

/** The first kernel whose nftables can do NAT in tables of the family inet, which the rules of captured pods need. */
const inetNatKernel: readonly [number, number] = [5, 2];
const architectures: readonly string[] = ["amd64", "arm64"];

/** Checks each Node object. The objects do not show which kernel modules a node has. */
export function nodeFindings(nodes: readonly ExaminedNode[]): ClusterFinding[] {
  return nodes.flatMap((node) => {
    const info = node.status?.nodeInfo ?? {};
    if (info["operatingSystem"] === "windows")
      return [
        warning("node", nameOf(node), "runs Windows: its pods stay out of the mesh", "no remedy: the mesh needs Linux"),
      ];
    if (isDaemonless(node.metadata?.labels))
      return [
        warning(
          "node",
          nameOf(node),
          "runs no DaemonSets, so neither istio-cni-node nor ztunnel: its pods stay out of the ambient mesh, and pods whose sidecar gets its redirect from the agent do not start",
          "keep pods of the mesh off this node",
        ),
      ];
    const faults = [
      notReady(node),
      oldKubelet(node),
      foreignArchitecture(node),
      oldKernel(node),
      untestedFamily(node),
    ].flatMap((found) => found ?? []);
    return faults.length > 0 ? faults : [good("node", nameOf(node), description(info))];
  });
}

export function readyNodes(nodes: readonly ExaminedNode[]): ReadonlySet<string> {
  return new Set(nodes.filter((node) => notReady(node) === undefined).map(({ metadata }) => metadata?.name ?? ""));
}

function nameOf({ metadata }: ExaminedNode): string {
  return `Node ${metadata?.name ?? ""}`;
}

function description(info: Readonly<Record<string, string>>): string {
  const read = (name: string): string => info[name] ?? "unknown";
  return `kubelet ${read("kubeletVersion")}, ${read("containerRuntimeVersion")}, ${read("osImage")}, Linux ${read("kernelVersion")}, ${read("architecture")}`;
}

function notReady(node: ExaminedNode): ClusterFinding | undefined {
  const ready = node.status?.conditions?.find(({ type }) => type === "Ready");
  if (ready?.status === "True") return undefined;
  const readyMessage = ready?.message ?? "no condition Ready";
  const isWithoutNetwork = /NetworkPluginNotReady|cni plugin not initialized/i.test(readyMessage);
  return fault(
    "node",
    nameOf(node),
    `is not ready: ${readyMessage}`,
    isWithoutNetwork
      ? "install the cluster's own network plugin first: the runtime calls the mesh's plugin after it"
      : `kubectl describe node ${node.metadata?.name ?? ""}`,
  );
}

function oldKubelet(node: ExaminedNode): ClusterFinding | undefined {
  const version = node.status?.nodeInfo?.["kubeletVersion"] ?? "";
  if (isSupported(version)) return undefined;
  return fault(
    "node",
    nameOf(node),
    `${version === "" ? "reports no version of its kubelet" : `its kubelet is ${version}`}; the oldest supported version is 1.${oldestMinor}`,
    `upgrade the node to Kubernetes 1.${oldestMinor} or newer`,
  );
}

function foreignArchitecture(node: ExaminedNode): ClusterFinding | undefined {
  const architecture = node.status?.nodeInfo?.["architecture"] ?? "";
  if (architectures.includes(architecture)) return undefined;
  return fault(
    "node",
    nameOf(node),
    `${architecture === "" ? "reports no architecture" : `is ${architecture}`}; the images are for ${architectures.join(" and ")}`,
    "take the node out of the cluster, or keep the DaemonSets istio-cni-node and ztunnel off it by a node affinity",
  );
}

function oldKernel(node: ExaminedNode): ClusterFinding | undefined {
  const version = node.status?.nodeInfo?.["kernelVersion"] ?? "";
  const [major, minor] = majorMinor(version);
  const [needMajor, needMinor] = inetNatKernel;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return undefined;
  return warning(
    "node",
    nameOf(node),
    `${version === "" ? "reports no version of its kernel" : `its kernel is ${version}`}; nf_tables translates addresses in tables of both families since Linux ${needMajor}.${needMinor}`,
    "use a newer kernel, unless the distribution has backported this feature; the log of istio-cni-node on that node shows whether it has",
  );
}

/** Warns of IPv6, with which the mesh was never tested. */
function untestedFamily(node: ExaminedNode): ClusterFinding | undefined {
  const addresses = node.status?.addresses?.filter(({ type }) => type === "InternalIP").map((entry) => entry.address);
  const found = [...(node.spec?.podCIDRs ?? []), ...(addresses ?? [])].find((address) => address.includes(":"));
  if (found === undefined) return undefined;
  return warning(
    "node",
    nameOf(node),
    `has IPv6 addresses (${found}); the mesh has been tested with IPv4 only`,
    "try the mesh on a cluster that is not in use yet, or use IPv4 for pods and Services",
  );
}

interface Platform {
  /** A value of `global.platform`. */
  readonly name: string;
  readonly isOf: (node: ExaminedNode) => boolean;
}

const kubeletOf = (node: ExaminedNode): string => node.status?.nodeInfo?.["kubeletVersion"] ?? "";
const hasLabel = (node: ExaminedNode, label: string): boolean => node.metadata?.labels?.[label] !== undefined;

/** Platforms that keep CNI's files in other directories than most. The first that matches applies. */
const platforms: readonly Platform[] = [
  { name: "gke", isOf: (node) => kubeletOf(node).includes("-gke.") },
  { name: "k3d", isOf: (node) => kubeletOf(node).includes("+k3s") && node.metadata?.name?.startsWith("k3d-") === true },
  { name: "k3s", isOf: (node) => kubeletOf(node).includes("+k3s") },
  { name: "microk8s", isOf: (node) => hasLabel(node, "microk8s.io/cluster") },
  { name: "openshift", isOf: (node) => hasLabel(node, "node.openshift.io/os_id") },
  {
    name: "minikube",
    isOf: (node) =>
      hasLabel(node, "minikube.k8s.io/name") &&
      node.status?.nodeInfo?.["containerRuntimeVersion"]?.startsWith("docker://") === true,
  },
];

/**
 * The finding of {@link platformFinding} about the cluster's nodes. Undefined if there is none, or if the caller may
 * not read the nodes.
 */
export async function clusterPlatform(client: KubeClient): Promise<ClusterFinding | undefined> {
  const nodes = await undefinedIfForbidden(client.list(nodeKind));
  return nodes === undefined ? undefined : platformFinding(nodes.items);
}

/** Finds a platform whose name an installation must set in `global.platform`. */
export function platformFinding(nodes: readonly ExaminedNode[]): ClusterFinding | undefined {
  for (const { name, isOf } of platforms) {
    const node = nodes.find(isOf);
    if (node !== undefined)
      return warning(
        "platform",
        nameOf(node),
        `is a node of ${name}, which keeps CNI files in its own directories`,
        `serin install --set values.global.platform=${name} (with Helm: --set global.platform=${name})${name === "openshift" ? '; docs/platforms.md, "OpenShift", says what else it needs' : ""}`,
      );
  }
  return undefined;
}
