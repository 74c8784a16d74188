// Finds targets and scrapes them.
export { createFetchMetrics, type FetchMetrics } from "./fetch-metrics.ts";
export { maskedConfig } from "./masked-config.ts";
export { parseScrapeConfig, type ScrapeConfig } from "./scrape-config.ts";
export { Scraper, type ScraperOptions } from "./scraper.ts";
export type { TargetHealth, TargetLoop } from "./target-loop.ts";
export type { ScrapeTarget, TargetSet } from "./targets.ts";
