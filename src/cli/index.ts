export type { CliContext, ConnectionFlags, Installer, PodRequest } from "./context.ts";
export { createProgram } from "./program.ts";
export { RolloutEnd } from "./rollout-end.ts";
