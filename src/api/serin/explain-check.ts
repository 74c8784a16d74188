import { defaultIntervalSeconds, type CheckSpec } from "./check-spec.ts";
import type { CheckType } from "./check-type.ts";

/** The check in sentences: what it judges, when it passes, fails and waits, and how often it measures. */
export function explainCheck(spec: CheckSpec): readonly string[] {
  if (spec.ref !== undefined)
    return [`Refers to the Check ${spec.ref.namespace === undefined ? "" : `${spec.ref.namespace}/`}${spec.ref.name}.`];
  return [...subjects[spec.type](spec), ...conditionsOf(spec), ...looksOf(spec)];
}

const percent = (rate: number): string => `${Number((rate * 100).toPrecision(4))} %`;
const seconds = (count: number): string => `${count} ${count === 1 ? "second" : "seconds"}`;

const sequential =
  "Frequent measurements do not raise the error rate: a release that equals stable fails wrongly in at most 0.1 % of steps.";

function ratesText(measure: string, spec: CheckSpec): string[] {
  return [
    `Compares ${measure}, canary against stable over the same window.`,
    `Fails as soon as the canary is worse than stable by more than chance explains; without stable traffic, when its rate is above ${percent(spec.maxErrorRate)} by more than chance explains. ${sequential}`,
    `Passes when the canary has at least ${spec.minSamples} samples, and they rule out a clearly higher rate; more samples rule out smaller differences. Waits with fewer samples.`,
  ];
}

const subjects: Readonly<Record<CheckType, (spec: CheckSpec) => string[]>> = {
  "request-success-rate": (spec) =>
    ratesText(
      "failed requests (status 500 and above, no response, or a gRPC status that blames the server), as the proxies in front count them",
      spec,
    ),
  "request-duration": ({ quantiles = [], maxRatio = 1, maxMs, minSamples }) => [
    `Compares the duration of requests, at ${quantiles.map((quantile) => `p${Number((quantile * 100).toFixed(3))}`).join(", ")}, canary against stable over the same window, from the proxies' histograms.`,
    `Fails as soon as the canary is slower by a factor of at least ${maxRatio} and by more than chance explains${maxMs === undefined ? "" : `, or when one of them is above ${maxMs} ms by more than chance explains`}. ${sequential}`,
    `Passes when the canary has at least ${minSamples} requests and they rule out that it is twice as slow; without stable traffic ${maxMs === undefined ? "nothing is compared" : "only the limit is judged"}.`,
  ],
  "request-share": ({ shareTolerance, minSamples }) => [
    `Compares the canary's share of the responses with its weight.`,
    `Fails when the difference exceeds ${shareTolerance} percentage points, and chance does not explain it; passes otherwise, after ${minSamples} responses.`,
  ],
  "tcp-connect-failures": (spec) => ratesText("connections that could not be opened", spec),
  "pod-health": ({ timeoutSeconds }) => [
    "Compares the canary's pods with the stable ones: crash loops, images that cannot be pulled, pods that are no longer ready, and pods out of memory.",
    `Fails at the first fault that stable does not have too. Waits while no pod of the canary is ready, and fails when that lasts for ${seconds(timeoutSeconds)}. Fails also when a pod loses its readiness for the fourth time, unless the pods of stable on its node, or most pods of stable, did so as often.`,
  ],
  restarts: () => [
    "Counts how often containers of the canary's pods have restarted since the step settled.",
    "Fails at the first restart, unless the stable pods restart as often.",
  ],
  "xds-convergence": ({ timeoutSeconds }) => [
    "Asks every control plane of the subject whether each concerned proxy has acknowledged its configuration. docs/security.md says which proxies are concerned.",
    `Passes when all have, and names those that have not; fails when some have not for ${seconds(timeoutSeconds)}, or when one rejects its configuration.`,
  ],
  "xds-nacks": () => [
    "Asks every control plane of the subject whether a proxy has rejected its configuration.",
    "Fails at the first rejection by a concerned proxy, with its reason, and names a rejection by another one; waits while no proxy is connected. docs/security.md says which proxies are concerned.",
  ],
  "mtls-probe-matrix": ({ minSamples }) => [
    "Opens new connections between probe pods of every pair of revision and data plane, and compares reachability, mTLS and the identity of both ends.",
    `Passes when each pair has its share of ${minSamples} samples; the result is a table.`,
  ],
  "certificate-roots": ({ roots = [] }) => [
    "Asks which roots every proxy and ztunnel of the subject trusts, and which root signed its certificate.",
    roots.length === 0
      ? "Passes when all trust one common root, and a root that all trust signed their certificates."
      : `Passes when all trust ${roots.map((root) => root.slice(0, 16)).join(" and ")}…, and one of these signed their certificates.`,
  ],
  "error-log-rate": (spec) =>
    ratesText("seconds of a pod's life in which it logged an error (its containers' logs, JSON, klog or text)", spec),
  query: ({ query }) => [
    query === undefined
      ? "Asks the metrics that the engine scrapes from the mesh itself, or a Prometheus, by a query in PromQL."
      : `Asks ${query.provider === "prometheus" ? `the Prometheus at ${query.address ?? ""}` : "the metrics that the engine scrapes from the mesh itself"}: ${query.expression}`,
    ...(query?.baseline === undefined ? [] : [`As baseline: ${query.baseline}`]),
    "No data means wait, never pass.",
  ],
  webhook: ({ webhook }) => [
    webhook === undefined
      ? "Calls a server of yours with {rollout, step, canary, stable, window}."
      : webhook.method === "GET"
        ? `Sends GET ${webhook.url}.`
        : `Sends ${webhook.method} ${webhook.url} with {rollout, step, canary, stable, window}.`,
    'An answer {"verdict": "pass|fail|wait|error", "evidence"} decides; else a condition judges its JSON; else status 2xx passes and any other fails.',
  ],
  approval: () => ["Waits until a person approves the step, and records who did and why."],
};

function conditionsOf({ passWhen, failWhen, min, max }: CheckSpec): string[] {
  return [
    ...(failWhen === undefined ? [] : [`Fails when ${failWhen}.`]),
    ...(passWhen === undefined
      ? []
      : [
          `Passes only when ${passWhen}${failWhen === undefined ? "; fails otherwise" : "; waits while neither is true"}.`,
        ]),
    ...(min === undefined ? [] : [`Fails when the result is below ${min}.`]),
    ...(max === undefined ? [] : [`Fails when the result is above ${max}.`]),
  ];
}

function looksOf(spec: CheckSpec): string[] {
  const { count = 1, failureLimit = 0, errorLimit, waitLimit, dryRun, timeoutSeconds } = spec;
  const interval = spec.intervalSeconds ?? defaultIntervalSeconds(spec.type);
  return [
    `Measures ${interval === 0 ? "at each round of the engine" : `every ${seconds(interval)}`}${count === 1 ? "" : ` and must pass ${count} times in a row`}.`,
    ...(failureLimit === 0
      ? []
      : [`Tolerates ${failureLimit} failed ${failureLimit === 1 ? "measurement" : "measurements"}.`]),
    `No answer for ${seconds(timeoutSeconds)}${errorLimit === undefined ? "" : `, or in more than ${errorLimit} measurements in a row,`} is a failure.`,
    ...(waitLimit === undefined ? [] : [`Waiting in more than ${waitLimit} measurements in a row is a failure.`]),
    ...(dryRun === true ? ["Its verdict is recorded, but has no effect."] : []),
  ];
}
