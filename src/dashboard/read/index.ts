/**
 * Reads the data of the page and the terminal: objects through informers, traffic from proxies or a Prometheus, and the
 * states of proxies from control planes.
 */
export { createDashboardReader, type DashboardReader, type DashboardReaderOptions } from "./dashboard-reader.ts";
export { askFromWithin } from "./ask-from-within.ts";
export { askPodDirectly } from "./pod-connections.ts";
export { askPodByApiServer, type AskPod, type PodAddress } from "./pod-http.ts";
