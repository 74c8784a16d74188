// The server of the page: access, the live stream, requests that write, and their audit.
export { ClusterAccess } from "./access/cluster-access.ts";
export type { Identity } from "./access/identity.ts";
export { KubeconfigAccess } from "./access/kubeconfig-access.ts";
export { credentialsOf } from "./access/user-credentials.ts";
export { AuditLog } from "./audit-log.ts";
export { checkTopic } from "./check-topic.ts";
export { DashboardServer, type OtherAnswer } from "./dashboard-server.ts";
export { PageAssets } from "./page-assets.ts";
export { createHandlers } from "./requests/create-handlers.ts";
