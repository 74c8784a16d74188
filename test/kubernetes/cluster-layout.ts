// The addresses and files of the cluster. Its network is an Ethernet with two nodes and the client, which has the first
// address.
import { join } from "node:path";

export type NodeNumber = 1 | 2;
export const nodeNumbers: readonly NodeNumber[] = [1, 2];

export const clientAddress = "10.240.0.1";
export const serviceRange = "10.96.0.0/16";
export const kubernetesServiceAddress = "10.96.0.1";
export const dnsAddress = "10.96.0.10";
export const podRange = "10.244.0.0/16";
/** The addresses of LoadBalancer Services. They lead to the first node. */
export const loadBalancerRange = "10.240.1.0/24";
export const loadBalancerAddress = (index: number): string => `10.240.1.${index}`;

export const nodeName = (node: NodeNumber): string => `n${node}`;
export const nodeAddress = (node: NodeNumber): string => `10.240.0.1${node}`;
export const podRangeOf = (node: NodeNumber): string => `10.244.${node}.0/24`;
/** As with kubeadm, the control plane runs on the first node. */
export const apiServer = `https://${nodeAddress(1)}:6443`;

/** The files of a run. All are below `scratch`. */
export interface ClusterFiles {
  readonly scratch: string;
  readonly pki: string;
  readonly kubeconfigs: string;
  readonly logs: string;
  /** Where load generators in pods write their reports. Every node mounts it at the same path. */
  readonly reports: string;
}

export function clusterFiles(scratch: string): ClusterFiles {
  return {
    scratch,
    pki: join(scratch, "pki"),
    kubeconfigs: join(scratch, "kubeconfigs"),
    logs: join(scratch, "logs"),
    reports: join(scratch, "reports"),
  };
}

/** The programs that `scripts/fetch/kubernetes.sh` has built. */
export interface Programs {
  readonly kubernetes: string;
  readonly etcd: string;
  readonly containerd: string;
  readonly coredns: string;
}

export function programsOf(root: string, version: string): Programs {
  const peers = join(root, ".cache/kubernetes/peers");
  return {
    kubernetes: join(root, ".cache/kubernetes", version),
    etcd: join(peers, "etcd"),
    containerd: join(peers, "containerd"),
    coredns: join(peers, "coredns"),
  };
}
