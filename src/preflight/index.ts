/**
 * A preflight plan: all facts about a mesh upgrade that can be known before it starts. It writes nothing to the
 * cluster.
 */
export { preflight } from "./preflight.ts";
export type { PlannedUpgrade, ReleaseFinder, UpgradeSteps } from "./options.ts";
export { openRelease, type Release } from "./release/release.ts";
export type { FieldChange, Json } from "./tree-diff.ts";
export type { Finding, PreflightReport, ResourceGroup } from "./report.ts";
