export { nonRootUser, restrictedContext } from "./restricted-context.ts";
