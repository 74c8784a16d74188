// Prometheus' pages for people.
export { prometheusPage, type AskApi } from "./prometheus-pages.ts";
