export { Supervisor, type SupervisorOptions } from "./supervisor.ts";
export type { LoadBalancerPort, NodeReport, ServiceUrl } from "./messages.ts";
