import type { Pod } from "../../api/kubernetes/index.ts";
import { messageOf } from "../../base/index.ts";
import { injectPod, type InjectionContext } from "../../inject/index.ts";
import { type AdmissionAnswer, type AdmissionReview, allow, refuse } from "../../api/admission-review/index.ts";

export interface InjectionReport {
  readonly outcome: "injected" | "skipped" | "failed" | "no-pod";
  readonly pod: string;
  readonly namespace: string;
  /** Why the pod was not injected, or what failed. */
  readonly reason: string;
  readonly seconds: number;
}

export interface InjectReview {
  readonly answer: AdmissionAnswer;
  readonly report: InjectionReport;
}

export interface InjectionScope {
  readonly context: InjectionContext;
  readonly namespaceLabels: Readonly<Record<string, string>>;
}

const msPerSecond = 1000;

export function namespaceOf(review: AdmissionReview): string {
  return review.request?.namespace ?? (review.request?.object as Pod | undefined)?.metadata?.namespace ?? "default";
}

/** The path may name the cluster and the network: `/inject/cluster/<name>/net/<network>`. */
export function reviewPod(review: AdmissionReview, path: string, scope: InjectionScope): InjectReview {
  const startedMs = performance.now();
  const pod = review.request?.object as Pod | undefined;
  const namespace = namespaceOf(review);
  const done = (answer: AdmissionAnswer, outcome: InjectionReport["outcome"], reason = ""): InjectReview => {
    const name = pod?.metadata?.name ?? `${pod?.metadata?.generateName ?? ""}*`;
    const seconds = (performance.now() - startedMs) / msPerSecond;
    return { answer, report: { outcome, pod: name, namespace, reason, seconds } };
  };
  if (pod?.metadata === undefined) return done(allow(review), "no-pod");
  try {
    const outcome = injectPod(
      { pod, namespace, namespaceLabels: scope.namespaceLabels, ...environmentOf(path) },
      scope.context,
    );
    if (outcome.kind === "skipped") return done(allow(review), "skipped", outcome.reason);
    return done(allow(review, { warnings: outcome.warnings, patch: outcome.patch }), "injected");
  } catch (error) {
    return done(refuse(review, messageOf(error)), "failed", messageOf(error));
  }
}

/** Reads pairs of keys and values. As in upstream, `--slash--` in a value stands for a slash. */
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
