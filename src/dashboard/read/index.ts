/** Reads what the page and the terminal show: objects by informers, traffic from proxies or a Prometheus, proxies' states from control planes. */
export { createDashboardReader, type DashboardReader, type DashboardReaderOptions } from "./dashboard-reader.ts";
export { askFromWithin } from "./ask-from-within.ts";
export { askPodDirectly } from "./pod-connections.ts";
export { askPodByApiServer, type AskPod, type PodAddress } from "./pod-http.ts";
