// Applies and removes the objects of an installation, and keeps the objects of operators installed.
export {
  BanzaiOperator,
  tellOfSecondOperator,
  type BanzaiOperatorOptions,
  type SecondOperatorOptions,
} from "./banzai/index.ts";
export { applyComponents, fieldManager, type InstallOptions } from "./installer.ts";
export { IstioOperatorController, type IstioOperatorControllerOptions } from "./istio/index.ts";
export { proxyMetrics, type MetricsProxyOptions } from "./metrics-proxy.ts";
export { keepNewerShared } from "./newer-shared.ts";
export { removeInstalled, type UninstallOptions } from "./uninstaller.ts";
export { planObject, verifyInstalled, type PlannedChange, type Verification } from "./verify.ts";
