// The plan of a node, which its program gets as JSON in its only argument, and the configuration files of the node's
// programs.
import { join } from "node:path";
import {
  clientAddress,
  dnsAddress,
  nodeName,
  podRange,
  podRangeOf,
  type ClusterFiles,
  type NodeNumber,
} from "./cluster-layout.ts";

export interface NodePlan {
  readonly name: string;
  readonly address: string;
  /**
   * The node's own files: `containerd`, `kubelet`, `logs`, and `disk`, a file system with what the node changes below
   * `/`.
   */
  readonly directory: string;
  /**
   * Mounted at the same path in the node. It has certificates, kubeconfigs, and the files that pods write reports to.
   */
  readonly shared: string;
  readonly logs: string;
  readonly kubeconfig: string;
  /** Directories that come first in PATH. */
  readonly path: readonly string[];
  /** The node's own programs join the control group of this file. */
  readonly processes: string;
  /** By their paths in the node. */
  readonly files: Readonly<Record<string, string>>;
}

export const pauseImage = "registry.serin.test/pause:1";
export const containerdSocket = "/run/containerd/containerd.sock";
export const nodePrograms = ["containerd", "kubelet", "kube-proxy"] as const;
export type NodeProgram = (typeof nodePrograms)[number];

/** A command to the node, as a line of JSON on its standard input. */
export interface NodeOrder {
  readonly program: NodeProgram;
  readonly signal?: "SIGTERM" | "SIGKILL";
  readonly start?: boolean;
}

export function nodeFiles(node: NodeNumber, files: ClusterFiles, cgroup: string): Record<string, string> {
  return {
    "/etc/cni/net.d/10-ptp.conflist": JSON.stringify(cniConfiguration(node)),
    "/etc/containerd/config.toml": containerdConfiguration,
    // A registry without TLS that some tests start.
    [`/etc/containerd/certs.d/${clientAddress}:5000/hosts.toml`]: `server = "http://${clientAddress}:5000"\n`,
    "/etc/kubelet.yaml": JSON.stringify(kubeletConfiguration(node, files, cgroup)),
    "/etc/kube-proxy.yaml": JSON.stringify(kubeProxyConfiguration(node, files)),
    "/etc/kubelet-resolv.conf": "",
  };
}

function cniConfiguration(node: NodeNumber): object {
  return {
    cniVersion: "1.0.0",
    name: "podnet",
    plugins: [
      {
        type: "ptp",
        mtu: 1500,
        ipMasq: false,
        ipam: {
          type: "host-local",
          dataDir: "/run/cni-addresses",
          routes: [{ dst: "0.0.0.0/0" }],
          ranges: [[{ subnet: podRangeOf(node) }]],
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
}

const containerdConfiguration = `version = 3
root = '/var/lib/containerd'
state = '/run/containerd'
[grpc]
  address = '${containerdSocket}'
[plugins.'io.containerd.cri.v1.images']
  snapshotter = 'overlayfs'
  [plugins.'io.containerd.cri.v1.images'.pinned_images]
    sandbox = '${pauseImage}'
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '/etc/containerd/certs.d'
[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
  [plugins.'io.containerd.cri.v1.runtime'.cni]
    bin_dirs = ['/opt/cni/bin']
    conf_dir = '/etc/cni/net.d'
  [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
    runtime_type = 'io.containerd.runc.v2'
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
      SystemdCgroup = false
      BinaryName = '/usr/sbin/runc'
`;

function kubeletConfiguration(node: NodeNumber, { pki }: ClusterFiles, cgroup: string): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    failCgroupV1: false,
    cgroupDriver: "cgroupfs",
    cgroupRoot: `${cgroup}/${nodeName(node)}`,
    enforceNodeAllocatable: [],
    containerRuntimeEndpoint: `unix://${containerdSocket}`,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(pki, "ca.crt") },
    },
    authorization: { mode: "Webhook" },
    tlsCertFile: join(pki, `${nodeName(node)}.crt`),
    tlsPrivateKeyFile: join(pki, `${nodeName(node)}.key`),
    clusterDNS: [dnsAddress],
    clusterDomain: "cluster.local",
    resolvConf: "/etc/kubelet-resolv.conf",
    failSwapOn: false,
    evictionHard: {
      "memory.available": "100Mi",
      "nodefs.available": "1%",
      "imagefs.available": "1%",
      "nodefs.inodesFree": "0%",
    },
    imageGCHighThresholdPercent: 100,
    imageMinimumGCAge: "100h",
    maxPods: 110,
    localStorageCapacityIsolation: false,
    nodeStatusUpdateFrequency: "4s",
  };
}

/** One node uses iptables, and the other nftables. */
function kubeProxyConfiguration(node: NodeNumber, { kubeconfigs }: ClusterFiles): object {
  return {
    apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
    kind: "KubeProxyConfiguration",
    clientConnection: { kubeconfig: join(kubeconfigs, "kube-proxy.conf") },
    mode: node === 1 ? "iptables" : "nftables",
    clusterCIDR: podRange,
    hostnameOverride: nodeName(node),
    // These settings belong to the machine, so the node must not change them.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: "0s", tcpCloseWaitTimeout: "0s" },
  };
}
