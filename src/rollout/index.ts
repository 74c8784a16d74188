export { RolloutEngine, type EngineOptions } from "./engine.ts";
