// Metrics within bounds, their text format in both directions, and lines of access logs.
export { AccessLog, fileSink, type AccessLogOptions, type AccessLogSink } from "./access-log.ts";
export { Counter, Gauge, Histogram } from "./instruments.ts";
export { MetricFamily, MetricsRegistry, type MetricsRegistryOptions, type MetricType } from "./metrics-registry.ts";
export {
  familyOfSample,
  lengthOfHead,
  parsePrometheus,
  readSampleText,
  readValue,
  SampleLines,
  sampleOfLine,
  type PrometheusSample,
  type PrometheusScrape,
} from "./parse-prometheus.ts";
export { addContainmentMetrics } from "./containment-metrics.ts";
export { addProcessMetrics } from "./process-metrics.ts";
export {
  prometheusContentType,
  renderPrometheus,
  renderSnapshot,
  snapshotOf,
  type FamilyNames,
  type FamilySnapshot,
} from "./render-prometheus.ts";
