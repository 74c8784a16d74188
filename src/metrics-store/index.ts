// Scrapes metrics into memory, and serves Prometheus' HTTP API.
export { PrometheusApi } from "./http/prometheus-api.ts";
export { createFetchMetrics, maskedConfig, parseScrapeConfig, Scraper } from "./scrape/index.ts";
export { SampleStore } from "./store/index.ts";
