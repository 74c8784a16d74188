export { RolloutEngine, type EngineOptions } from "./engine/rollout-engine.ts";
