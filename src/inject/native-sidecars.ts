/** The first minor version of the kubelet in which sidecar containers are stable. */
const firstMinorWithSidecars = 33;

/**
 * Whether every node runs sidecar containers, by the versions of their kubelets, such as `v1.36.0`. False if no node is
 * known.
 */
export function everyKubeletRunsSidecars(versions: readonly string[]): boolean {
  return versions.length > 0 && versions.every(runsSidecars);
}

function runsSidecars(version: string): boolean {
  const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > 1 || Number(minor) >= firstMinorWithSidecars;
}
