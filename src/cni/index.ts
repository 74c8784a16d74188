export { agentEnd } from "./agent-end.ts";
export { CniAgent, type CniAgentOptions, type CniAgentPaths } from "./cni-agent.ts";
export { openHostNamespace } from "./host-namespace.ts";
