// The server of the page: access, the live stream, requests that write, and their audit.
export { ClusterAccess } from "./access/cluster-access.ts";
export type { Access } from "./access/access.ts";
export type { Identity, OwnCredentials } from "./access/identity.ts";
export { KubeconfigAccess } from "./access/kubeconfig-access.ts";
export { credentialsOf } from "./access/user-credentials.ts";
export { AuditLog } from "./audit-log.ts";
export { checkTopic } from "./check-topic.ts";
export {
  DashboardServer,
  type DashboardServerOptions,
  type ListenAddress,
  type OtherAnswer,
} from "./dashboard-server.ts";
export type { Measurements } from "./measurements.ts";
export { PageAssets } from "./page-assets.ts";
export { createHandlers, type HandlersOptions } from "./requests/create-handlers.ts";
export type { RequestHandlers } from "./requests/request-handlers.ts";
export type { AccessRight, ViewReader, ViewSink, ViewSource } from "./view-source.ts";
