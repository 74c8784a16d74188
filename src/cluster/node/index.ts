// The lab node, which does the jobs of a kubelet and a kube-proxy.
export { probeMachine } from "./machine-probe.ts";
export { KubeletServer } from "./kubelet-api/kubelet-server.ts";
export { kubeletPort, NodeAgent } from "./node-agent.ts";
export { readMemoryBytes, readProcessTable } from "./kubelet-api/process-table.ts";
export { UsageSampler } from "./kubelet-api/usage-sampler.ts";
