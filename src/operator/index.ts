export { applyComponents, removeInstalled, type InstallOptions, type UninstallOptions } from "./installer.ts";
