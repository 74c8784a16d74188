export { watchConfiguration } from "./configuration-reloader.ts";
export { prometheusPage } from "./prometheus-pages.ts";
