// The rollout engine: plan, observe, decide, judge, act and undo.
import type { PreviewOptions, UpgradePreview } from "./observe/preview-upgrade.ts";

export { removalRefusal } from "./engine/finalizer.ts";
export { RolloutEngine } from "./engine/rollout-engine.ts";
export { parseAllowedHosts } from "./observe/checks/allowed-destinations.ts";
export { runCheckOutside } from "./observe/checks/run-check-once.ts";

/** Plans an upgrade without carrying it out. The code is loaded on first use. */
export async function previewUpgrade(options: PreviewOptions): Promise<UpgradePreview> {
  return await (await import("./observe/preview-upgrade.ts")).previewUpgrade(options);
}
