import type { SecurityContext } from "../kubernetes/index.ts";

/** The user of components that are not proxies. With the proxy's user id, their connections would bypass a sidecar. */
export const nonRootUser = 65_532;

/** The minimal security context of a container: PodSecurity's level `restricted`, with a read-only root file system. */
export function restrictedContext(user: number): SecurityContext {
  return {
    allowPrivilegeEscalation: false,
    capabilities: { drop: ["ALL"] },
    privileged: false,
    readOnlyRootFilesystem: true,
    runAsGroup: user,
    runAsNonRoot: true,
    runAsUser: user,
    seccompProfile: { type: "RuntimeDefault" },
  };
}
