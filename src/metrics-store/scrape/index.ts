// Finds targets and scrapes them.
export { createFetchMetrics } from "./fetch-metrics.ts";
export { maskedConfig } from "./masked-config.ts";
export { parseScrapeConfig } from "./scrape-config.ts";
export { Scraper } from "./scraper.ts";
export type { TargetHealth, TargetLoop } from "./target-loop.ts";
export type { ScrapeTarget, TargetSet } from "./targets.ts";
