export { observeClusterState, type ClusterState, type InstalledGateway, type InstalledRevision, type InstalledTag } from "./cluster-state.ts";
export { applyComponents, applyObjects, fieldManager, type InstallOptions } from "./installer.ts";
export { removeInstalled, type UninstallOptions } from "./uninstaller.ts";
export { planObject, verifyInstalled, type PlannedChange, type Verification } from "./verify.ts";
