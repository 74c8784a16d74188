// The L4 data plane of ambient: capture, HBONE, policy, DNS, for the pods of a node.
export { absolutePath, logLevelWarning, readConfig, readWorkerThreads, type ZtunnelConfig } from "./config.ts";
export { Ztunnel, type ZtunnelOptions } from "./ztunnel.ts";
