import { defaultIntervalSeconds, type CheckSpec, type CheckType } from "./check-spec.ts";

/** Describes a check in sentences: what it judges, when it passes, fails and waits, and how often it measures. */
export function explainCheck(spec: CheckSpec): readonly string[] {
  if (spec.ref !== undefined)
    return [
      `Stands for the Check ${spec.ref.namespace === undefined ? "" : `${spec.ref.namespace}/`}${spec.ref.name}.`,
    ];
  return [...subjects[spec.type](spec), ...conditionsOf(spec), ...looksOf(spec)];
}

const percent = (rate: number): string => `${Number((rate * 100).toPrecision(4))} %`;
const seconds = (count: number): string => `${count} ${count === 1 ? "second" : "seconds"}`;

const sequential =
  "Looking often does not make it err more often: a release equal to the stable one is failed wrongly in at most 0.1 % of steps.";

function ratesText(what: string, spec: CheckSpec): string[] {
  return [
    `Judges ${what}, canary against stable over the same window.`,
    `Fails as soon as the canary is worse than stable beyond chance; where no stable version takes any, when its rate is above ${percent(spec.maxErrorRate)} beyond chance. ${sequential}`,
    `Passes when at least ${spec.minSamples} of the canary have been seen and a rate that is worse by what so many can show is ruled out; fewer mean wait, none is never a pass.`,
  ];
}

const subjects: Readonly<Record<CheckType, (spec: CheckSpec) => string[]>> = {
  "request-success-rate": (spec) =>
    ratesText(
      "requests that failed (status 500 and above, none, or a gRPC status that blames the server), as the proxies in front count them",
      spec,
    ),
  "request-duration": ({ quantiles = [], maxRatio = 1, maxMs, minSamples }) => [
    `Judges how long requests take, at ${quantiles.map((quantile) => `p${Number((quantile * 100).toFixed(3))}`).join(", ")}, canary against stable over the same window, from the proxies' histograms.`,
    `Fails as soon as the canary is slower beyond chance and by a factor of at least ${maxRatio}${maxMs === undefined ? "" : `, or when one of them is above ${maxMs} ms beyond chance`}. ${sequential}`,
    `Passes when at least ${minSamples} requests of the canary have been seen and twice as slow is ruled out; without stable traffic ${maxMs === undefined ? "nothing is compared" : "only the limit is judged"}.`,
  ],
  "request-share": ({ shareTolerance, minSamples }) => [
    `Judges the canary's share of the answers against its weight.`,
    `Fails when it is further off than ${shareTolerance} percentage points and than chance explains; passes otherwise, once there were ${minSamples} answers.`,
  ],
  "tcp-connect-failures": (spec) => ratesText("connections that could not be opened", spec),
  "pod-health": ({ timeoutSeconds }) => [
    "Judges the canary's pods against the stable ones: crash loops, images that cannot be had, pods that are no longer ready, memory that ran out.",
    `Fails at the first of these that stable does not have as well; waits while no pod of the canary is ready, and fails when none is in ${seconds(timeoutSeconds)}.`,
  ],
  restarts: () => [
    "Counts how often containers of the canary's pods have restarted since the step settled.",
    "Fails at the first restart, unless the stable pods restart as often.",
  ],
  "xds-convergence": ({ timeoutSeconds }) => [
    "Asks every control plane of the subject whether each of its proxies has acknowledged all that it was sent.",
    `Passes when all have, names those that have not, and fails when they have not in ${seconds(timeoutSeconds)} or when one rejects what it is sent.`,
  ],
  "xds-nacks": () => [
    "Asks every control plane of the subject whether a proxy has rejected what it was sent.",
    "Fails at the first, with the proxy's reason; waits while no proxy is connected.",
  ],
  "mtls-probe-matrix": ({ minSamples }) => [
    "Opens new connections between probe pods of every pair of revision and data plane, and compares reachability, mTLS and the identity of both ends.",
    `Passes when each pair has had its part of ${minSamples} samples; the result is a table.`,
  ],
  "certificate-roots": ({ roots = [] }) => [
    "Asks what roots every proxy and ztunnel of the subject trusts, and which root its certificate ends in.",
    roots.length === 0
      ? "Passes when all trust one common root and their certificates end in a root that all trust."
      : `Passes when all trust ${roots.map((root) => root.slice(0, 16)).join(" and ")}… and their certificates end in one of these.`,
  ],
  "error-log-rate": (spec) =>
    ratesText("seconds of a pod's life in which it logged an error (its containers' logs, JSON, klog or text)", spec),
  query: ({ query }) => [
    `Asks ${query?.provider === "prometheus" ? `the Prometheus at ${query.address ?? ""}` : "the metrics that the engine scrapes from the mesh itself"}: ${query?.expression ?? ""}`,
    ...(query?.baseline === undefined ? [] : [`As baseline: ${query.baseline}`]),
    "No data means wait, never pass.",
  ],
  webhook: ({ webhook }) => [
    `Sends ${webhook?.method ?? "POST"} ${webhook?.url ?? ""} with {rollout, step, canary, stable, window}.`,
    'An answer {"verdict": "pass|fail|wait|error", "evidence"} is taken as it is; else a condition judges its JSON; else status 2xx passes and any other fails.',
  ],
  approval: () => ["Waits until a person approves the step, and keeps who did and why."],
};

function conditionsOf({ passWhen, failWhen, min, max }: CheckSpec): string[] {
  return [
    ...(failWhen === undefined ? [] : [`Fails when ${failWhen}.`]),
    ...(passWhen === undefined
      ? []
      : [
          `Passes only when ${passWhen}${failWhen === undefined ? "; fails otherwise" : "; waits while neither holds"}.`,
        ]),
    ...(min === undefined ? [] : [`Fails when the result is below ${min}.`]),
    ...(max === undefined ? [] : [`Fails when the result is above ${max}.`]),
  ];
}

function looksOf(spec: CheckSpec): string[] {
  const { count = 1, failureLimit = 0, errorLimit, waitLimit, dryRun, timeoutSeconds } = spec;
  const interval = spec.intervalSeconds ?? defaultIntervalSeconds(spec.type);
  return [
    `Looks ${interval === 0 ? "as often as the engine does" : `every ${seconds(interval)}`}${count === 1 ? "" : ` and must pass ${count} times one after another`}.`,
    ...(failureLimit === 0 ? [] : [`Tolerates ${failureLimit} looks that fail.`]),
    `No answer for ${seconds(timeoutSeconds)}${errorLimit === undefined ? "" : `, or in more than ${errorLimit} looks one after another,`} is a failure.`,
    ...(waitLimit === undefined ? [] : [`Waiting in more than ${waitLimit} looks one after another is a failure.`]),
    ...(dryRun === true ? ["Its verdict is recorded and never acted on."] : []),
  ];
}
