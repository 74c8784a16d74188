// The node agent of ambient: enrols the pods of a node, and hands their sockets to ztunnels.
export { agentEnd, SeenDaemonSet } from "./agent-end.ts";
export { CniAgent, type CniAgentOptions, type CniAgentPaths } from "./cni-agent.ts";
export { openHostNamespace } from "./host-namespace.ts";
export { problemText, type PluginProblem } from "./plugin/index.ts";
