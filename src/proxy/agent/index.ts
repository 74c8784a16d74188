// What containers of a pod ask its proxy for; small, for commands that must not load a whole proxy first.
export { runAgentCommand, type AgentCommandOptions } from "./agent-command.ts";
