export { probeMachine, type MachineFinding } from "./machine-probe.ts";
export { KubeletServer, type KubeletServerOptions } from "./kubelet-server.ts";
export { kubeletPort, NodeAgent, type NodeAgentOptions } from "./node-agent.ts";
export { readMemoryBytes, readProcessTable } from "./process-table.ts";
export { UsageSampler } from "./usage-sampler.ts";
