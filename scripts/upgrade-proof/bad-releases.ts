// Ten releases that are bad in ten ways, each rolled out under load: the engine stops it and takes it back, without a hand.
import { join } from "node:path";
import { meshUpgradeKind, type RolloutStatus } from "../../src/api/serin/index.ts";
import { follow } from "./follow.ts";
import { difference, type LoadTotals } from "./load-totals.ts";
import { upgradeObject } from "./mesh-upgrade.ts";
import { poissonBound } from "./poisson.ts";
import { seconds, type Proof } from "./proof.ts";
import { root } from "./proof-lab.ts";

export interface BadReleaseResult {
  readonly name: string;
  /** Put back by the engine, with a cause that names what was wrong, and no more failed than the weight explains. */
  readonly undone: boolean;
  readonly cause: string;
  /** From the rollout's begin until everything was as before. */
  readonly seconds: number;
  readonly failedShare: number;
}

/** While the rollout was at which step, which share of which requests could meet the bad release, and which share of those fails. */
interface Exposure {
  readonly targets: RegExp;
  readonly errorRate: number;
  readonly weightAt: (stepId: string) => number;
}

interface BadRelease {
  /** The folder below test/releases. */
  readonly name: string;
  /** What the evidence must say. */
  readonly cause: RegExp;
  /** Undefined: it must never be given a request. */
  readonly exposure?: Exposure;
}

const runTimeoutMs = 600_000;

export const badReleases: readonly BadRelease[] = [{ name: "rejected-config", cause: /rejected istio\.workload\.Address/ }];

export async function playBadRelease(proof: Proof, release: BadRelease): Promise<BadReleaseResult> {
  const { lab, reports } = proof;
  const number = badReleases.indexOf(release) + 2;
  const version = `1.31.${number}`;
  await lab.addRelease(version, join(root, "test/releases", release.name));
  const before = reports.totals;
  const begun = Date.now();
  await lab.api.apply([upgradeObject(proof, { name: release.name, from: proof.revision, to: version.replaceAll(".", "-"), version, soakSeconds: 90 })]);
  const status = await follow(proof, meshUpgradeKind, release.name, { timeoutMs: runTimeoutMs });
  const ended = Date.now();
  const counted = difference(reports.totals, before);
  return judge(proof, release, status, { counted, begun, ended });
}

interface Seen {
  readonly counted: LoadTotals;
  readonly begun: number;
  readonly ended: number;
}

function judge(proof: Proof, { name, cause, exposure }: BadRelease, status: RolloutStatus, { counted, begun, ended }: Seen): BadReleaseResult {
  const said = status.cause ?? status.message;
  const bound = exposure === undefined ? 0 : poissonBound(expectedFailures(exposure, status, counted, { begun, ended }));
  const problems = [
    ...(status.phase === "RolledBack" ? [] : [`it ended as ${status.phase}`]),
    ...(cause.test(said) ? [] : [`its cause does not match ${String(cause)}`]),
    ...(counted.failed <= bound ? [] : [`${counted.failed} requests failed, where ${bound} can be explained`]),
  ];
  const failedShare = counted.failed / Math.max(1, counted.requests);
  proof.note(`${name}: ${problems.length === 0 ? "undone" : `NOT as it should be: ${problems.join("; ")}`} in ${seconds(ended - begun)}, ${counted.failed} of ${counted.requests} failed (at most ${bound}): ${said}`);
  return { name, undone: problems.length === 0, cause: said, seconds: Math.round((ended - begun) / 100) / 10, failedShare };
}

/** Weight times error rate times request rate times time, step by step. */
function expectedFailures({ targets, errorRate, weightAt }: Exposure, status: RolloutStatus, counted: LoadTotals, { begun, ended }: Omit<Seen, "counted">): number {
  const requests = Object.entries(counted.targets).reduce((total, [target, counts]) => (targets.test(target) ? total + counts.requests : total), 0);
  const perMs = requests / Math.max(1, ended - begun);
  const steps = status.step === undefined ? status.completedSteps : [...status.completedSteps, status.step];
  return steps.reduce((expected, { id, startedAt }, index) => {
    const until = steps[index + 1]?.startedAt;
    const ms = (until === undefined ? ended : Date.parse(until)) - Date.parse(startedAt);
    return expected + weightAt(id) * errorRate * perMs * ms;
  }, 0);
}
