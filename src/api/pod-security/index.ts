export { podSecurityViolations, type PodSecurityLevel } from "./pod-security.ts";
export { nonRootUser, restrictedContext } from "./restricted-context.ts";
