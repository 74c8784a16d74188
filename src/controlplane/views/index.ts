/** Decides which proxy gets which resources, by the group and scope of each connected proxy. */
export { ProxyScopes } from "./proxy-scopes.ts";
export { ProxyViews } from "./proxy-views.ts";
export { secretPermission, type SecretPermission } from "./secret-permission.ts";
export { ServedAmbient } from "./served-ambient.ts";
export { servedExtensions } from "./served-extensions.ts";
