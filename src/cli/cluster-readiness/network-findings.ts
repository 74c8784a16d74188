import { ownField } from "../../base/index.ts";
import type { KubeClient } from "../../kube/index.ts";
import { readJson } from "./cluster-facts.ts";
import { fault, good, unseen, warning, type ClusterFinding } from "./cluster-finding.ts";
import type { ExaminedNode } from "./node-findings.ts";

interface Metadata {
  readonly name?: string;
  readonly namespace?: string;
}

interface DaemonSet {
  readonly metadata?: Metadata;
  readonly status?: { readonly desiredNumberScheduled?: number };
  readonly spec?: {
    readonly template?: {
      readonly spec?: {
        readonly containers?: readonly {
          readonly env?: readonly { readonly name: string; readonly value?: string }[];
        }[];
      };
    };
  };
}

/** Network plugins by the names of their DaemonSets. */
const pluginsByDaemonSet: Readonly<Record<string, string>> = {
  anetd: "GKE Dataplane V2",
  "antrea-agent": "Antrea",
  "aws-node": "Amazon VPC CNI",
  "azure-cns": "Azure CNI",
  "calico-node": "Calico",
  canal: "Canal",
  cilium: "Cilium",
  kindnet: "kindnet",
  "kube-flannel-ds": "Flannel",
  "kube-router": "kube-router",
  "ovnkube-node": "OVN-Kubernetes",
  "weave-net": "Weave Net",
};

const agent = "istio-cni-node";

/**
 * Names the command that shows which CNI configuration file contains the mesh's plugin. The file is on the nodes, and
 * no object of the cluster names it.
 */
function chainedFileText(sets: readonly DaemonSet[], istioNamespace: string): string {
  const command = `kubectl logs -n ${istioNamespace} ds/${agent}`;
  const isInstalled = sets.some(({ metadata }) => metadata?.name === agent && metadata.namespace === istioNamespace);
  return isInstalled
    ? `${command} shows the file into which the agent has chained the mesh's plugin`
    : `the CNI files of a node are not visible from outside; after the installation ${command} shows the file into which the mesh's plugin is chained`;
}

/**
 * Finds the cluster's network plugins. There may be several, for example Cilium beside a cloud's own plugin, which
 * assigns the addresses or no longer runs on any node.
 */
export async function networkFindings(client: KubeClient, istioNamespace: string): Promise<ClusterFinding[]> {
  const subject = "network plugin";
  const read = await readJson<{ readonly items?: readonly DaemonSet[] }>(client, "/apis/apps/v1/daemonsets");
  if (read.state === "forbidden") return [unseen(subject, "daemonsets", read.reason)];
  const sets = read.state === "read" ? (read.value.items ?? []) : [];
  const plugins = sets.filter(
    ({ metadata, status }) =>
      ownField(pluginsByDaemonSet, metadata?.name ?? "") !== undefined && status?.desiredNumberScheduled !== 0,
  );
  const chained = chainedFileText(sets, istioNamespace);
  if (plugins.length === 0) return [good(subject, "Cluster", `no known plugin runs as a DaemonSet; ${chained}`)];
  const found = await Promise.all(
    plugins.map(async (plugin) => {
      const { name = "", namespace = "" } = plugin.metadata ?? {};
      const finding = good(
        subject,
        objectOf("DaemonSet", plugin.metadata),
        `${ownField(pluginsByDaemonSet, name) ?? ""}; ${chained}`,
      );
      if (name === "cilium") return [finding, ...(await ciliumFindings(client, namespace))];
      if (name === "calico-node" || name === "canal") return [finding, ...(await calicoFindings(client))];
      return name === "aws-node" ? [finding, ...podSecurityGroupFindings(plugin)] : [finding];
    }),
  );
  return found.flat();
}

/**
 * The findings about network plugins that an installation prints as warnings. Empty if the caller may not read the
 * plugins' settings.
 */
export async function networkObstacles(client: KubeClient, istioNamespace: string): Promise<ClusterFinding[]> {
  const found = await networkFindings(client, istioNamespace);
  return found.filter(({ level, object }) => level !== "ok" && object !== "Cluster");
}

/**
 * Checks the settings of Amazon's plugin. If pods have security groups in its strict mode, it drops packets with
 * link-local addresses, which the kubelet's probes of captured pods have.
 */
function podSecurityGroupFindings({ metadata, spec }: DaemonSet): ClusterFinding[] {
  const variables = new Map(
    (spec?.template?.spec?.containers ?? []).flatMap(({ env = [] }) => env.map(({ name, value }) => [name, value])),
  );
  const mode = variables.get("POD_SECURITY_GROUP_ENFORCING_MODE") ?? "strict";
  if (variables.get("ENABLE_POD_ENI") !== "true" || mode === "standard") return [];
  const { namespace = "", name = "" } = metadata ?? {};
  return [
    warning(
      "Amazon VPC CNI",
      objectOf("DaemonSet", metadata),
      `POD_SECURITY_GROUP_ENFORCING_MODE is ${mode}: the kubelet's probes of ambient pods with a SecurityGroupPolicy will fail, because they come from a link-local address`,
      `kubectl set env daemonset ${name} -n ${namespace} POD_SECURITY_GROUP_ENFORCING_MODE=standard; then restart those pods`,
    ),
  ];
}

function objectOf(kind: string, { namespace = "", name = "" }: Metadata = {}): string {
  return `${kind} ${namespace}/${name}`;
}

async function ciliumFindings(client: KubeClient, namespace: string): Promise<ClusterFinding[]> {
  const object = `ConfigMap ${namespace}/cilium-config`;
  const path = `/api/v1/namespaces/${namespace}/configmaps/cilium-config`;
  const read = await readJson<{ readonly data?: Readonly<Record<string, string>> }>(client, path);
  if (read.state === "forbidden") return [unseen("Cilium", "configmaps", read.reason)];
  const data = read.state === "read" ? (read.value.data ?? {}) : {};
  const found: ClusterFinding[] = [];
  if (data["cni-exclusive"] === "true")
    found.push(
      fault(
        "Cilium",
        object,
        "cni-exclusive is true: Cilium removes the entries of other plugins from the nodes' configuration",
        "helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set cni.exclusive=false",
      ),
    );
  const balancesSockets = ["kube-proxy-replacement", "bpf-lb-sock"].find((name) =>
    ["true", "strict"].includes(data[name] ?? ""),
  );
  if (balancesSockets !== undefined && data["bpf-lb-sock-hostns-only"] !== "true")
    found.push(
      fault(
        "Cilium",
        object,
        `${balancesSockets} is ${data[balancesSockets] ?? ""} without bpf-lb-sock-hostns-only: sockets of pods bypass the mesh's redirect`,
        "helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set socketLB.hostNamespaceOnly=true",
      ),
    );
  if (data["enable-bpf-masquerade"] === "true")
    found.push(
      warning(
        "Cilium",
        object,
        "enable-bpf-masquerade is true: the kubelet's probes of ambient pods will fail, because they come from a link-local address",
        "helm upgrade cilium cilium/cilium -n kube-system --reuse-values --set bpf.masquerade=false",
      ),
    );
  return found;
}

interface FelixConfiguration {
  readonly spec?: {
    readonly bpfEnabled?: boolean;
    readonly bpfConnectTimeLoadBalancing?: string;
    readonly bpfConnectTimeLoadBalancingEnabled?: boolean;
  };
}

/** The API groups of Calico's settings: its CRDs, or the API that Calico's own API server serves. */
const calicoGroups = ["crd.projectcalico.org/v1", "projectcalico.org/v3"];

/**
 * Checks Calico's settings. By default, Calico with eBPF replaces the address of a Service when a pod connects. The
 * mesh then sees a connection to a pod, so it applies neither the Service's routes nor its waypoint.
 */
async function calicoFindings(client: KubeClient): Promise<ClusterFinding[]> {
  const subject = "Calico";
  for (const group of calicoGroups) {
    const path = `/apis/${group}/felixconfigurations/default`;
    const read = await readJson<FelixConfiguration>(client, path);
    if (read.state === "forbidden")
      return [unseen(subject, `felixconfigurations.${group.split("/")[0] ?? ""}`, read.reason)];
    if (read.state === "absent") continue;
    const { bpfEnabled, bpfConnectTimeLoadBalancing, bpfConnectTimeLoadBalancingEnabled } = read.value.spec ?? {};
    if (bpfEnabled !== true || bpfConnectTimeLoadBalancingEnabled === false) return [];
    const mode = bpfConnectTimeLoadBalancing ?? "TCP, the default";
    if (mode === "Disabled") return [];
    return [
      warning(
        subject,
        "FelixConfiguration default",
        `bpfEnabled is true, and bpfConnectTimeLoadBalancing is ${mode}: connections of pods to a Service bypass its waypoint and its routes, because Calico replaces the Service's address before the mesh sees it`,
        `kubectl patch felixconfigurations.${group.split("/")[0] ?? ""} default --type=merge -p '{"spec":{"bpfConnectTimeLoadBalancing":"Disabled","bpfHostNetworkedNATWithoutCTLB":"Enabled"}}'`,
      ),
    ];
  }
  return [];
}

interface ServiceObject {
  readonly metadata?: Metadata;
  readonly spec?: { readonly type?: string };
  readonly status?: {
    readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string; readonly hostname?: string }[] };
  };
}

const portForward = "or reach gateways by kubectl port-forward, or by node ports";

/**
 * Checks whether Services of the type LoadBalancer get addresses: one of them has an address, or the cluster has a
 * known provider of addresses.
 */
export async function loadBalancerFindings(
  client: KubeClient,
  nodes: readonly ExaminedNode[] | undefined,
): Promise<ClusterFinding[]> {
  const subject = "LoadBalancer";
  const read = await readJson<{ readonly items?: readonly ServiceObject[] }>(client, "/api/v1/services");
  if (read.state === "forbidden") return [unseen(subject, "services", read.reason)];
  const balanced = (read.state === "read" ? (read.value.items ?? []) : []).filter(
    ({ spec }) => spec?.type === "LoadBalancer",
  );
  const served = balanced.find((service) => addressOf(service) !== undefined);
  if (served !== undefined)
    return [good(subject, objectOf("Service", served.metadata), `has the address ${addressOf(served) ?? ""}`)];
  const waiting = balanced[0];
  if (waiting !== undefined)
    return [
      warning(
        subject,
        objectOf("Service", waiting.metadata),
        "waits for an address, like every Service of type LoadBalancer",
        `kubectl describe service -n ${waiting.metadata?.namespace ?? ""} ${waiting.metadata?.name ?? ""}; install an implementation, for example MetalLB, ${portForward}`,
      ),
    ];
  // Check for the lab before MetalLB. The lab has MetalLB's CRDs, but assigns addresses without address pools.
  const isLab = nodes?.some(({ status }) => status?.nodeInfo?.["containerRuntimeVersion"]?.startsWith("serin://"));
  if (isLab === true) return [good(subject, "Cluster", "the lab assigns addresses")];
  return [(await metalLbFinding(client)) ?? cloudFinding(nodes)];
}

function addressOf({ status }: ServiceObject): string | undefined {
  const [first] = status?.loadBalancer?.ingress ?? [];
  return first?.ip ?? first?.hostname;
}

async function metalLbFinding(client: KubeClient): Promise<ClusterFinding | undefined> {
  const path = "/apis/metallb.io/v1beta1/ipaddresspools";
  const read = await readJson<{ readonly items?: readonly { readonly metadata?: Metadata }[] }>(client, path);
  if (read.state === "absent") return undefined;
  const [pool] = read.state === "read" ? (read.value.items ?? []) : [{ metadata: undefined }];
  if (pool === undefined)
    return warning(
      "LoadBalancer",
      "Cluster",
      "MetalLB is installed and has no IPAddressPool",
      "create an IPAddressPool and an L2Advertisement in MetalLB's namespace",
    );
  return good(
    "LoadBalancer",
    pool.metadata === undefined ? "Cluster" : objectOf("IPAddressPool", pool.metadata),
    "MetalLB",
  );
}

/** Clouds whose controllers assign addresses to Services, by the URL scheme of the nodes' provider ids. */
const clouds: readonly string[] = [
  "aws",
  "azure",
  "gce",
  "digitalocean",
  "openstack",
  "hcloud",
  "linode",
  "ibm",
  "oci",
];

function cloudFinding(nodes: readonly ExaminedNode[] | undefined): ClusterFinding {
  const node = nodes?.find(({ spec }) => clouds.includes(spec?.providerID?.split("://")[0] ?? ""));
  if (node !== undefined)
    return good(
      "LoadBalancer",
      `Node ${node.metadata?.name ?? ""}`,
      `belongs to ${node.spec?.providerID?.split("://")[0] ?? ""}, whose controller assigns addresses; no Service of type LoadBalancer exists yet`,
    );
  const isK3s = nodes?.some(({ status }) => status?.nodeInfo?.["kubeletVersion"]?.includes("+k3s") === true);
  if (isK3s === true) return good("LoadBalancer", "Cluster", "k3s brings ServiceLB, unless it was disabled");
  return warning(
    "LoadBalancer",
    "Cluster",
    "no known implementation runs in the cluster: a Gateway may never get an address",
    `install one, for example MetalLB, ${portForward}`,
  );
}
