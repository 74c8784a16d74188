// Makes the lab's network, starts the lab's own processes in it, and restarts them if they end.
export { Supervisor } from "./supervisor.ts";
export type { ServiceUrl } from "./service-url.ts";
