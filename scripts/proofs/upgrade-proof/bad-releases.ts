// Ten bad releases, each bad in another way, roll out under load. The engine must stop and undo each without a person.
import { join } from "node:path";
import { canaryKind, meshUpgradeKind, type RolloutStatus } from "../../../src/api/serin/index.ts";
import { appCanary } from "./app-canary.ts";
import { follow } from "./follow.ts";
import { namespaces } from "./load-plans.ts";
import { difference, type LoadTotals } from "./load-totals.ts";
import { firstWave, upgradeObject } from "./mesh-upgrade.ts";
import { canaryObjects, releaseImage } from "./objects.ts";
import { poissonBound } from "./poisson.ts";
import { seconds, type Proof } from "./proof.ts";
import { root } from "./proof-lab.ts";
import { allAvailable } from "./stage.ts";

export interface BadReleaseResult {
  readonly name: string;
  /**
   * Whether the engine undid the release with a cause that names the fault, and no more requests failed than weight,
   * error rate and time explain.
   */
  readonly undone: boolean;
  readonly cause: string;
  /** The time from the rollout's start until everything was the same as before. */
  readonly seconds: number;
  readonly failedShare: number;
}

/** The requests that can reach the bad release. `errorRate` is the share of failures among those that reach it. */
interface Exposure {
  readonly targets: RegExp;
  readonly errorRate: number;
  readonly weightAt: (stepId: string) => number;
}

interface BadRelease {
  /** The name of the release's folder below test/releases. */
  readonly name: string;
  /** `mesh` is a revision that a MeshUpgrade installs. `application` is a productpage that a Canary rolls out. */
  readonly kind: "mesh" | "application";
  /** A pattern that the cause of the undo must match. */
  readonly cause: RegExp;
  /** The requests that may fail. Empty if the release must never receive a request. */
  readonly exposures: readonly Exposure[];
  /** The weights of the application's canary. If absent, 10, 50 and 100. */
  readonly weights?: readonly number[];
  readonly environment?: readonly { readonly name: string; readonly value: string }[];
  readonly checks?: readonly object[];
  /** The duration of the soak after each wave. */
  readonly soakSeconds?: number;
}

const runTimeoutMs = 600_000;
const settleTimeoutSeconds = 90;
const limits = { timeoutSeconds: 120 };

/** Returns the weight of a step of a Canary with the weights 10, 50 and 100, as a share. */
const weightOfStep = (id: string): number => [0, 0.1, 0.5, 1][Number(/^step-(\d)/.exec(id)?.[1] ?? 0)] ?? 0;
/**
 * Returns the weight of a gateway's or waypoint's step, as a share. Steps of gateways are called `gateway/…/50/pods`,
 * `gateway/…/50`, …, `gateway/…/own`, and those of waypoints have the same form.
 */
const weightOf =
  (kind: "gateway" | "waypoint") =>
  (id: string): number =>
    id.startsWith(`${kind}/`) ? Number(/\/(\d+)(?:\/pods)?$/.exec(id)?.[1] ?? 100) / 100 : 0;
/** Returns 1 for a step of the first wave, in which the load generators' sidecars restart and then run the release. */
const weightOfSidecars = (id: string): number => Number(id.startsWith(`${firstWave}/`));

/**
 * Returns the requests through a sidecar of the first wave or through the gateway. The share `errorRate` of them fails.
 */
const ofProxies = (errorRate: number): readonly Exposure[] => [
  { targets: /^sidecar: /, errorRate, weightAt: weightOfSidecars },
  { targets: /^gateway: /, errorRate, weightAt: weightOf("gateway") },
];

export const badReleases: readonly BadRelease[] = [
  {
    name: "crashes-at-start",
    kind: "mesh",
    cause: /istiod-1-31-\d+.*(restart|CrashLoopBackOff|ended with)/,
    exposures: [],
  },
  {
    name: "crashes-after-a-minute",
    kind: "mesh",
    cause: /restart|crash|ended with/i,
    exposures: ofProxies(1),
    soakSeconds: 80,
  },
  {
    name: "fails-5-percent",
    kind: "mesh",
    cause: /request-success-rate: canary [1-9]\d* of \d+ failed|mtls-probe-matrix: .*status 500/,
    exposures: ofProxies(0.05),
  },
  {
    name: "slower-by-30-percent",
    kind: "application",
    cause: /request-duration: /,
    exposures: [],
    checks: [
      { type: "request-success-rate", ...limits, minSamples: 40 },
      { type: "request-duration", ...limits, maxRatio: 1.1, minSamples: 2000 },
    ],
    // Both versions get the same load, so that only the release differs.
    weights: [50, 100],
  },
  {
    name: "leaks-memory",
    kind: "application",
    cause: /restarts: .*[1-9]\d* restarts|pod-health: /,
    exposures: [{ targets: /^gateway: .*page/, errorRate: 1, weightAt: weightOfStep }],
    environment: [{ name: "NODE_OPTIONS", value: "--max-semi-space-size=2 --max-old-space-size=64" }],
    checks: [
      { type: "restarts", ...limits },
      { type: "pod-health", ...limits },
      { type: "request-success-rate", ...limits, minSamples: 400 },
    ],
  },
  { name: "wrong-root", kind: "mesh", cause: /probe-matrix|certificate-roots|certificate|root/i, exposures: [] },
  { name: "rejected-config", kind: "mesh", cause: /rejected istio\.workload\.Address/, exposures: [] },
  {
    name: "rejects-a-header",
    kind: "application",
    cause: /request-success-rate: canary [1-9]\d* of \d+ failed/,
    exposures: [{ targets: /^gateway: traced page/, errorRate: 1, weightAt: weightOfStep }],
    checks: [{ type: "request-success-rate", ...limits, minSamples: 400 }],
  },
  {
    name: "never-ready",
    kind: "mesh",
    cause: /did not settle.*ztunnel-1-31-\d+|pod-health: .*ztunnel|ztunnel-1-31-\d+.*ready/,
    exposures: [],
  },
  {
    name: "wrong-subset",
    kind: "mesh",
    cause: /of-another-subset|request-share/,
    exposures: [
      { targets: /^sidecar: reviews/, errorRate: 1, weightAt: weightOfSidecars },
      { targets: /reviews|page/, errorRate: 1, weightAt: weightOf("waypoint") },
    ],
    checks: [
      {
        name: "of-another-subset",
        type: "query",
        query: {
          provider: "mesh",
          expression:
            'sum(rate(istio_requests_total{reporter=~"source|waypoint",destination_service_name="reviews",destination_version!~"v2|unknown"}[15s])) or vector(0)',
        },
        max: 0,
        count: 4,
        ...limits,
      },
    ],
  },
];

export async function playBadRelease(proof: Proof, release: BadRelease): Promise<BadReleaseResult> {
  const { lab, reports } = proof;
  const version = `1.31.${badReleases.indexOf(release) + 2}`;
  await lab.addRelease(version, join(root, "test/releases", release.name));
  const before = reports.totals;
  const begun = Date.now();
  const status =
    release.kind === "mesh"
      ? await rollOutRevision(proof, release, version)
      : await rollOutApplication(proof, release, version);
  const result = judge(proof, release, status, {
    counted: difference(reports.totals, before),
    begun,
    ended: Date.now(),
  });
  if (release.kind === "application") await lab.api.apply(canaryObjects(), namespaces.shop);
  return result;
}

async function rollOutRevision(
  proof: Proof,
  { name, checks, soakSeconds }: BadRelease,
  version: string,
): Promise<RolloutStatus> {
  const upgrade = upgradeObject(proof, {
    name,
    from: proof.revision,
    to: version.replaceAll(".", "-"),
    version,
    settleTimeoutSeconds,
    ...(soakSeconds === undefined ? {} : { soakSeconds }),
    ...(checks === undefined ? {} : { checks }),
  });
  await proof.lab.api.apply([upgrade]);
  return await follow(proof, meshUpgradeKind, name, { timeoutMs: runTimeoutMs });
}

/** Rolls out a release of bookinfo's productpage. The image's tag names the release to run. */
async function rollOutApplication(
  proof: Proof,
  { name, checks = [], environment = [], weights }: BadRelease,
  version: string,
): Promise<RolloutStatus> {
  const { lab } = proof;
  const { shop: namespace } = namespaces;
  await lab.api.apply(canaryObjects(`${releaseImage}:${version}`, environment), namespace);
  await allAvailable(proof);
  await lab.api.apply([appCanary(name, checks, weights)]);
  return await follow(proof, canaryKind, name, { namespace, timeoutMs: runTimeoutMs });
}

interface Observed {
  readonly counted: LoadTotals;
  readonly begun: number;
  readonly ended: number;
}

function judge(
  proof: Proof,
  { name, cause, exposures }: BadRelease,
  status: RolloutStatus,
  { counted, begun, ended }: Observed,
): BadReleaseResult {
  const reason = status.cause ?? status.message;
  const bound = poissonBound(
    exposures.reduce((sum, exposure) => sum + expectedFailures(exposure, status, counted, { begun, ended }), 0),
  );
  const problems = [
    ...(status.phase === "RolledBack" ? [] : [`it ended as ${status.phase}`]),
    ...(cause.test(reason) ? [] : [`its cause does not match ${String(cause)}`]),
    ...(counted.failed <= bound ? [] : [`${counted.failed} requests failed, but the fault explains at most ${bound}`]),
  ];
  const failedShare = counted.failed / Math.max(1, counted.requests);
  proof.note(
    `${name}: ${problems.length === 0 ? "undone" : `NOT as expected: ${problems.join("; ")}`} in ${seconds(ended - begun)}, ${counted.failed} of ${counted.requests} failed (at most ${bound}): ${reason}`,
  );
  return {
    name,
    undone: problems.length === 0,
    cause: reason,
    seconds: Math.round((ended - begun) / 100) / 10,
    failedShare,
  };
}

/** Returns the expected number of failures: weight × error rate × request rate × time, summed over the steps. */
function expectedFailures(
  { targets, errorRate, weightAt }: Exposure,
  status: RolloutStatus,
  counted: LoadTotals,
  { begun, ended }: Omit<Observed, "counted">,
): number {
  const requests = Object.entries(counted.targets).reduce(
    (total, [target, counts]) => (targets.test(target) ? total + counts.requests : total),
    0,
  );
  const perMs = requests / Math.max(1, ended - begun);
  const steps = status.step === undefined ? status.completedSteps : [...status.completedSteps, status.step];
  return steps.reduce((expected, { id, startedAt }, index) => {
    const until = steps[index + 1]?.startedAt;
    const ms = (until === undefined ? ended : Date.parse(until)) - Date.parse(startedAt);
    return expected + weightAt(id) * errorRate * perMs * ms;
  }, 0);
}
