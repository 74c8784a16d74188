// Prometheus' pages for people.
export { prometheusPage } from "./prometheus-pages.ts";
