// Metrics of several threads, for processes that have them.
export { ThreadMetrics } from "./thread-metrics.ts";
