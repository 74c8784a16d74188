/**
 * Reads the data of the page and the terminal: objects through informers, traffic from proxies or a Prometheus, and the
 * states of proxies from control planes.
 */
export { createDashboardReader, type DashboardReader } from "./dashboard-reader.ts";
export { askFromWithin } from "./ask-from-within.ts";
export { askPodDirectly } from "./pod-connections.ts";
export { askPodByApiServer } from "./pod-http.ts";
