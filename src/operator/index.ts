export { BanzaiOperator, skippedMessage, type BanzaiOperatorOptions } from "./banzai/index.ts";
export { observeClusterState, type ClusterState, type InstalledGateway, type InstalledRevision, type InstalledTag } from "./cluster-state.ts";
export { applyComponents, applyObjects, fieldManager, type InstallOptions } from "./installer.ts";
export { IstioOperatorController, istioOperatorKind, type IstioOperatorControllerOptions } from "./istio/index.ts";
export { proxyMetrics, type MetricsProxyOptions } from "./metrics-proxy.ts";
export { removeInstalled, type UninstallOptions } from "./uninstaller.ts";
export { planObject, verifyInstalled, type PlannedChange, type Verification } from "./verify.ts";
