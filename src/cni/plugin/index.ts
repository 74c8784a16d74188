// The CNI plugin, its installation, and the agent's server for its calls.
export type { PodAttachment } from "./plugin-call.ts";
export { PluginInstaller } from "./plugin-installer.ts";
export {
  notCalled,
  problemText,
  type NodeFolders,
  type PluginProblem,
  type ProblemSurroundings,
} from "./plugin-problems.ts";
export { pluginProgram } from "./plugin-program.ts";
export { PluginServer } from "./plugin-server.ts";
export { RuntimeCalls } from "./runtime-calls.ts";
