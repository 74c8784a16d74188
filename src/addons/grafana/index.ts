export { GrafanaApi, type GrafanaApiOptions } from "./grafana-api.ts";
