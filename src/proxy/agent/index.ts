// The commands of a pod's containers to their proxy. It is small, because these commands must not load a whole proxy.
export { runAgentCommand, type AgentCommandOptions } from "./agent-command.ts";
