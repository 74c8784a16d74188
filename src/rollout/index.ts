export { RolloutEngine, type EngineOptions } from "./engine/rollout-engine.ts";
export { runCheckOutside } from "./observe/checks/run-check-once.ts";
export { previewUpgrade, type UpgradePreview } from "./observe/preview-upgrade.ts";
