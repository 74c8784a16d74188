// The commands of a pod's containers to their proxy. It is small, because these commands must not load a whole proxy.
export { runAgentCommand } from "./agent-command.ts";
