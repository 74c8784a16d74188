// A lab node: kubelet's and kube-proxy's job.
export { probeMachine, type MachineFinding } from "./machine-probe.ts";
export { KubeletServer, type KubeletServerOptions } from "./kubelet-api/kubelet-server.ts";
export { kubeletPort, NodeAgent, type NodeAgentOptions } from "./node-agent.ts";
export { readMemoryBytes, readProcessTable } from "./kubelet-api/process-table.ts";
export { UsageSampler } from "./kubelet-api/usage-sampler.ts";
