import { nearestName, ownField, type Tree } from "../base/index.ts";

/** Where a platform's nodes have CNI's files, and what the platform requires of pods that run on every node. */
export interface NodePlatform {
  readonly cniBinDir: string;
  readonly cniConfDir: string;
  readonly cniNetnsDir: string;
  /** The name of the CNI configuration file to which the plugin is added. If empty, the first file is used. */
  readonly cniConfFileName: string;
  readonly chained: boolean;
  /**
   * Whether the platform admits pods with a priority class for nodes only in namespaces with a ResourceQuota for that
   * class.
   */
  readonly needsQuota: boolean;
  /** Whether a privileged pod's account needs the right to use a SecurityContextConstraint. */
  readonly hasContextConstraints: boolean;
}

const usual: NodePlatform = {
  cniBinDir: "/opt/cni/bin",
  cniConfDir: "/etc/cni/net.d",
  cniNetnsDir: "/var/run/netns",
  cniConfFileName: "",
  chained: true,
  needsQuota: false,
  hasContextConstraints: false,
};

/**
 * The platforms that need other settings, by `global.platform` as in Istio's platform profiles. Others, such as EKS,
 * AKS, kind and kubeadm, use the settings in {@link usual}.
 */
const differing: Readonly<Record<string, Partial<NodePlatform>>> = {
  gke: { cniBinDir: "/home/kubernetes/bin", needsQuota: true },
  k3d: { cniConfDir: "/var/lib/rancher/k3s/agent/etc/cni/net.d", cniBinDir: "/bin" },
  k3s: { cniConfDir: "/var/lib/rancher/k3s/agent/etc/cni/net.d", cniBinDir: "/var/lib/rancher/k3s/data/cni" },
  microk8s: {
    cniConfDir: "/var/snap/microk8s/current/args/cni-network",
    cniBinDir: "/var/snap/microk8s/current/opt/cni/bin",
  },
  minikube: { cniNetnsDir: "/var/run/docker/netns" },
  // On OpenShift, the plugin is not chained: it has a configuration file of its own, which Multus runs for pods that
  // name it.
  openshift: {
    cniBinDir: "/var/lib/cni/bin",
    cniConfDir: "/etc/cni/multus/net.d",
    cniConfFileName: "istio-cni.conf",
    chained: false,
    hasContextConstraints: true,
  },
};

/** Additional values of a platform. They override the profile, and the user's values override them. */
const valuesByPlatform: Readonly<Record<string, Tree>> = {
  openshift: {
    pilot: { cni: { enabled: true, provider: "multus" }, terminationMessagePolicy: "FallbackToLogsOnError" },
    // With another SELinux type, ztunnel could not use the agent's socket, which is a file of the node.
    ztunnel: { seLinuxOptions: { type: "spc_t" } },
  },
};

export const platformNames: readonly string[] = Object.keys(differing);

export function platformValues(name: string): Tree | undefined {
  return ownField(valuesByPlatform, name);
}

/** Describes the fault of a platform's name. Returns undefined for a known or an empty name. */
export function platformFault(name: string): string | undefined {
  if (name === "" || platformNames.includes(name)) return undefined;
  const near = nearestName(name, platformNames);
  return `there is no platform "${name}"${near === undefined ? "" : `; did you mean "${near}"?`}; known: ${platformNames.join(", ")}. Others, for example EKS, AKS, kind and kubeadm, need no value here: remove it`;
}

export function nodePlatform(name: string): NodePlatform {
  return { ...usual, ...ownField(differing, name) };
}

/**
 * The values of one field on the platforms where it differs, and its usual value. A chart's template chooses among
 * them.
 */
export function nodePlatformChoices(field: "cniBinDir" | "cniConfDir" | "cniNetnsDir" | "cniConfFileName"): {
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

function platformsWhere(field: "needsQuota" | "hasContextConstraints" | "chained", value: boolean): readonly string[] {
  return platformNames.filter((name) => nodePlatform(name)[field] === value);
}

export const unchainedPlatforms: readonly string[] = platformsWhere("chained", false);
export const quotaPlatforms: readonly string[] = platformsWhere("needsQuota", true);
export const constrainedPlatforms: readonly string[] = platformsWhere("hasContextConstraints", true);
