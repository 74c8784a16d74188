/** The dashboard: the reader of the mesh, and the server of the page. */
export { readPageFiles } from "./bundle/index.ts";
export { KialiApi, parseKialiConfig, type KialiConfig } from "./kiali/index.ts";
export { askFromWithin, askPodByApiServer, askPodDirectly, createDashboardReader } from "./read/index.ts";
export {
  AuditLog,
  checkTopic,
  ClusterAccess,
  createHandlers,
  credentialsOf,
  DashboardServer,
  KubeconfigAccess,
  PageAssets,
} from "./server/index.ts";
