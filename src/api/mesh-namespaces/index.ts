export { controlPlaneNamespaces, ztunnelNamespaces } from "./mesh-namespaces.ts";
