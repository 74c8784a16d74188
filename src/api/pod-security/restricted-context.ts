import type { SecurityContext } from "../kubernetes/index.ts";

/** Who components run as that are no proxy: with the proxy's own number their connections would pass by a sidecar. */
export const nonRootUser = 65_532;

/** The least that a container can run with: what PodSecurity's level `restricted` asks for, and a root that cannot be written. */
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
