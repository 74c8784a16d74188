// The agent of pods whose gRPC libraries speak xDS themselves.
export { ProxylessAgent, type ProxylessAgentOptions } from "./proxyless-agent.ts";
export { readProxylessPaths, type ProxylessPaths } from "./proxyless-paths.ts";
