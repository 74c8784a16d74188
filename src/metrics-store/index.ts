// Scrapes metrics into memory, and serves Prometheus' HTTP API.
export { PrometheusApi, type PrometheusApiOptions } from "./http/prometheus-api.ts";
export type { ApiAnswer, ApiRequest } from "./http/api-request.ts";
export {
  createFetchMetrics,
  maskedConfig,
  parseScrapeConfig,
  Scraper,
  type FetchMetrics,
  type ScrapeConfig,
  type ScraperOptions,
  type ScrapeTarget,
  type TargetHealth,
} from "./scrape/index.ts";
export { SampleStore, type SampleStoreOptions, type SampleStoreStats } from "./store/index.ts";
