/** The first minor version of Kubernetes in which sidecar containers are stable. */
const firstMinorWithSidecars = 33;

/**
 * Whether the kubelets of all nodes support sidecar containers. `versions` are their versions, such as `v1.36.0`.
 * Returns false if it is empty.
 */
export function everyKubeletRunsSidecars(versions: readonly string[]): boolean {
  return versions.length > 0 && versions.every(runsSidecars);
}

function runsSidecars(version: string): boolean {
  const [, major = "0", minor = "0"] = /^v?(\d+)\.(\d+)/.exec(version) ?? [];
  return Number(major) > 1 || Number(minor) >= firstMinorWithSidecars;
}
