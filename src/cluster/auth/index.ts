// Authentication and authorization of the lab's API server: tokens, certificates, RBAC, and the Node authorizer.
export { Authenticator, tokenProtocolPrefix } from "./authenticator.ts";
export { rulesNotCovered } from "./escalation.ts";
export { foreignLeaseFault, NodeAuthorizer } from "./node-authorizer.ts";
export { defaultClusterRoleBindings, defaultClusterRoles } from "./default-roles.ts";
export {
  aggregatedRules,
  clusterRoles,
  rbacGroup,
  RbacAuthorizer,
  rulesOf,
  type Authorizer,
  type Decision,
  type PolicyRule,
} from "./rbac.ts";
export { ServiceAccountTokens, type TokenRequest } from "./tokens.ts";
export { nodeNameOf, serverUser, serviceAccountOf, type AccessAttributes, type User } from "./user.ts";
