// Installation: renders a profile with its settings to objects. Pure.
export {
  banzaiPilotIssues,
  controlPlaneLabels,
  gatewaySelector,
  meshGatewayNames,
  renderBanzaiControlPlane,
  renderBanzaiGateway,
  renderMeshGateways,
  type ReleaseImages,
} from "./banzai/index.ts";
export {
  chartNames,
  renderChartNamed,
  renderCharts,
  type Chart,
  type ChartOptions,
  type ValuesSchema,
} from "./charts/index.ts";
export { isDaemonless } from "./daemonless-nodes.ts";
export { parseFieldPath, setAtPath } from "./field-path.ts";
export { chartValuesOf, type ChartName } from "./chart-values.ts";
export { installedKindOf, installedKinds, installVerbs, revisionKinds } from "./installed-kinds.ts";
export type { InstallRequest } from "./install-request.ts";
export { operatorName, renderOperator, type OperatorSettings } from "./operator-deployment.ts";
export { banzaiOperatorRules } from "./operator-rights.ts";
export { profiles } from "./profiles.ts";
export { definitionReleaseAnnotation } from "./components/base.ts";
export { pilotRules } from "./components/pilot-access.ts";
export { readerRules } from "./components/reader-account.ts";
export { grant } from "./components/roles.ts";
export { isNewerRelease, releaseOfImage } from "./release-version.ts";
export { revisionLabel } from "./render-context.ts";
export {
  inApplyOrder,
  renderDefaultRevision,
  renderInstall,
  renderNamespaces,
  type CustomResources,
  type RenderedComponent,
} from "./render.ts";
export { deactivateDefault, reactivateDefault, renderTag } from "./revision-tags.ts";
export {
  givenSpec,
  hasAgent,
  resolveSettings,
  resolveSpec,
  withRedirectByAgent,
  type InstallDefaults,
  type InstallSettings,
} from "./settings.ts";
