export { CniAgent, type CniAgentOptions, type CniAgentPaths } from "./cni-agent.ts";
