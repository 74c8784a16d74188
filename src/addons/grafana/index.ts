// Grafana's pages, and the few calls of its API that they and administrators need.
export { GrafanaApi } from "./grafana-api.ts";
