export { prometheusPage } from "./prometheus-pages.ts";
