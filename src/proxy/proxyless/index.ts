// The agent of pods whose gRPC libraries speak xDS themselves.
export { ProxylessAgent } from "./proxyless-agent.ts";
export { readProxylessPaths } from "./proxyless-paths.ts";
