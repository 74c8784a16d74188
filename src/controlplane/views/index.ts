/** Which proxy sees what: the group and scope of each connected proxy, and the resources that it may have. */
export { ProxyScopes } from "./proxy-scopes.ts";
export { ProxyViews } from "./proxy-views.ts";
export { secretPermission, type SecretPermission } from "./secret-permission.ts";
export { ServedAmbient } from "./served-ambient.ts";
export { servedExtensions } from "./served-extensions.ts";
