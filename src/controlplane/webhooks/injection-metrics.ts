import type { Logger } from "../../base/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import type { InjectionReport } from "./inject-review.ts";

export interface InjectionMetrics {
  judged(report: InjectionReport): void;
}

/** Upstream's histogram bounds, in seconds. */
const timeBounds = [0.1, 1, 3, 5, 10, 20, 30, 60];

export function createInjectionMetrics(metrics: MetricsRegistry, log: Logger): InjectionMetrics {
  const counter = (name: string, help: string): (() => void) => {
    const labelled = metrics.counter(name, help, []).labels();
    return () => labelled.increment();
  };
  const requested = counter("sidecar_injection_requests_total", "Pods that the injector was asked about.");
  const injected = counter("sidecar_injection_success_total", "Pods that were injected.");
  const failed = counter("sidecar_injection_failure_total", "Pods that could not be injected.");
  const skipped = counter("sidecar_injection_skip_total", "Pods that were not changed.");
  const time = metrics
    .histogram("sidecar_injection_time_seconds", "Duration of the decisions about pods.", [], timeBounds)
    .labels();
  return {
    judged({ outcome, pod, namespace, reason, seconds }) {
      requested();
      time.observe(seconds);
      if (outcome === "failed") {
        failed();
        log.warn("a pod cannot be injected", { pod, namespace, error: reason });
      } else if (outcome === "skipped") {
        skipped();
        log.debug("did not change a pod", { pod, namespace, reason });
      } else if (outcome === "injected") {
        injected();
        log.debug("injected a pod", { pod, namespace });
      }
    },
  };
}
