export { RolloutEngine, type EngineOptions } from "./engine/rollout-engine.ts";
export { ClusterView } from "./observe/cluster-view.ts";
export { runCheckOnce } from "./observe/checks/run-check-once.ts";
