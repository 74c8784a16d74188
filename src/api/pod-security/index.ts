// The security context of components that the level `restricted` of Pod Security allows.
export { nonRootUser, restrictedContext } from "./restricted-context.ts";
