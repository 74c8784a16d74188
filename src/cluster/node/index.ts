export { kubeletPort, NodeAgent, type NodeAgentOptions } from "./node-agent.ts";
