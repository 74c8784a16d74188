import type { Pod } from "../../api/kubernetes/index.ts";
import { messageOf, type Logger } from "../../base/index.ts";
import { injectPod, type InjectionContext } from "../../inject/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";
import { type AdmissionAnswer, type AdmissionReview, allow, refuse } from "./admission-review.ts";

export interface InjectReviewerOptions {
  readonly context: () => InjectionContext;
  readonly namespaceLabels: (namespace: string) => Readonly<Record<string, string>>;
  readonly metrics: MetricsRegistry;
  readonly log: Logger;
}

/** Seconds; upstream's. */
const timeBounds = [0.1, 1, 3, 5, 10, 20, 30, 60];
const msPerSecond = 1000;

/** Answers reviews of pods; the path after `/inject` may name the cluster and the network: `/inject/cluster/<name>/net/<network>`. */
export function createInjectReviewer(
  options: InjectReviewerOptions,
): (review: AdmissionReview, path: string) => AdmissionAnswer {
  const { context, namespaceLabels, metrics, log } = options;
  const counter = (name: string, help: string): (() => void) => {
    const labelled = metrics.counter(name, help, []).labels();
    return () => labelled.increment();
  };
  const requested = counter("sidecar_injection_requests_total", "Pods that were to be decided on.");
  const injected = counter("sidecar_injection_success_total", "Pods that were injected.");
  const failed = counter("sidecar_injection_failure_total", "Pods that could not be injected.");
  const skipped = counter("sidecar_injection_skip_total", "Pods that are left as they are.");
  const time = metrics
    .histogram("sidecar_injection_time_seconds", "How long pods were decided on.", [], timeBounds)
    .labels();
  return (review, path) => {
    requested();
    const startedMs = performance.now();
    using _timed = { [Symbol.dispose]: () => time.observe((performance.now() - startedMs) / msPerSecond) };
    const pod = review.request?.object as Pod | undefined;
    if (pod?.metadata === undefined) return allow(review);
    const namespace = review.request?.namespace ?? pod.metadata.namespace ?? "default";
    const name = pod.metadata.name ?? `${pod.metadata.generateName ?? ""}*`;
    try {
      const outcome = injectPod(
        { pod, namespace, namespaceLabels: namespaceLabels(namespace), ...environmentOf(path) },
        context(),
      );
      if (outcome.kind === "skipped") {
        skipped();
        log.debug("left a pod as it is", { pod: name, namespace, reason: outcome.reason });
        return allow(review);
      }
      injected();
      log.debug("injected a pod", { pod: name, namespace });
      return allow(review, {
        ...(outcome.warnings.length === 0 ? {} : { warnings: outcome.warnings }),
        patchType: "JSONPatch",
        patch: Buffer.from(JSON.stringify(outcome.patch)).toString("base64"),
      });
    } catch (error) {
      failed();
      log.warn("a pod cannot be injected", { pod: name, namespace, error: messageOf(error) });
      return refuse(review, messageOf(error));
    }
  };
}

/** Pairs of a key and a value; a slash in a value is written `--slash--`, as upstream's is. */
function environmentOf(path: string): { cluster?: string; network?: string } {
  const words = path
    .split("/")
    .slice(2)
    .map((word) => decodeURIComponent(word).replaceAll("--slash--", "/"));
  const found: { cluster?: string; network?: string } = {};
  for (let index = 0; index + 1 < words.length; index += 2) {
    const [key, value = ""] = [words[index], words[index + 1]];
    if (key === "cluster") found.cluster = value;
    else if (key === "net") found.network = value;
  }
  return found;
}
