// The commands that a pod's containers give to their proxy. This door is separate, because these commands must not load
// a whole proxy.
export { runAgentCommand } from "./agent-command.ts";
