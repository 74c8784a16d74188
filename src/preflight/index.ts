/**
 * A preflight plan: everything that can be known about a mesh upgrade before it starts. It writes nothing to the
 * cluster.
 */
export { preflight } from "./preflight.ts";
export type { PlannedUpgrade, PreflightOptions, ReleaseFinder, UpgradeSteps } from "./options.ts";
export { openRelease, type Release } from "./release/release.ts";
export type { FieldChange, Json } from "./tree-diff.ts";
export type {
  DefinitionChange,
  EnvoyFilterReport,
  EstimatePart,
  EstimateReport,
  Finding,
  InjectionGroup,
  NotCompared,
  ObjectChange,
  PlanArea,
  PreflightReport,
  ProxiesReport,
  RenderedComponentReport,
  ResourceGroup,
  Severity,
  Verdict,
  WorkloadsReport,
} from "./report.ts";
