/** The paths of CNI files on a node, and how the plugin is called there. */
export interface CniPlatform {
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  readonly cniNetnsDir: string;
  /** The file to chain the plugin into. If empty, the first file is used. */
  readonly cniConfFileName: string;
  readonly chained: boolean;
  /** The platform admits pods that a node needs only in namespaces with a ResourceQuota for their priority class. */
  readonly needsQuota: boolean;
}

const usual: CniPlatform = {
  cniBinDir: "/opt/cni/bin",
  cniConfDir: "/etc/cni/net.d",
  cniNetnsDir: "/var/run/netns",
  cniConfFileName: "",
  chained: true,
  needsQuota: false,
};

/**
 * The platforms with other paths, by `global.platform` as in upstream's platform profiles. EKS, AKS, kind and kubeadm
 * use the defaults.
 */
const differing: Readonly<Record<string, Partial<CniPlatform>>> = {
  gke: { cniBinDir: "/home/kubernetes/bin", needsQuota: true },
  k3d: { cniConfDir: "/var/lib/rancher/k3s/agent/etc/cni/net.d", cniBinDir: "/bin" },
  k3s: { cniConfDir: "/var/lib/rancher/k3s/agent/etc/cni/net.d", cniBinDir: "/var/lib/rancher/k3s/data/cni" },
  microk8s: {
    cniConfDir: "/var/snap/microk8s/current/args/cni-network",
    cniBinDir: "/var/snap/microk8s/current/opt/cni/bin",
  },
  minikube: { cniNetnsDir: "/var/run/docker/netns" },
  // Multus calls the plugin by the name of a file.
  openshift: {
    cniBinDir: "/var/lib/cni/bin",
    cniConfDir: "/etc/cni/multus/net.d",
    cniConfFileName: "istio-cni.conf",
    chained: false,
  },
};

export function cniPlatform(name: string): CniPlatform {
  return { ...usual, ...differing[name] };
}

/** The values of one field by platform, without the default, for a template that decides at installation. */
export function cniPlatformChoices(field: Exclude<keyof CniPlatform, "chained" | "needsQuota">): {
  readonly usual: string;
  readonly differing: readonly (readonly [platform: string, value: string])[];
} {
  return {
    usual: usual[field],
    differing: Object.entries(differing).flatMap(([platform, fields]) => {
      const value = fields[field];
      return value === undefined ? [] : [[platform, value] as const];
    }),
  };
}

export const unchainedPlatforms: readonly string[] = Object.entries(differing)
  .filter(([, fields]) => fields.chained === false)
  .map(([platform]) => platform);

export const quotaPlatforms: readonly string[] = Object.entries(differing)
  .filter(([, fields]) => fields.needsQuota === true)
  .map(([platform]) => platform);
