export { Supervisor, type SupervisorOptions } from "./supervisor.ts";
export type { ServiceUrl } from "./service-url.ts";
