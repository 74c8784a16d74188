// The namespaces in which control planes and ztunnels run.
export { controlPlaneNamespaces, ztunnelNamespaces } from "./mesh-namespaces.ts";
