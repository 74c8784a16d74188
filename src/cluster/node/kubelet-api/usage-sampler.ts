import type { Clock } from "../../../base/index.ts";
import type { ProcessIdentity } from "../containers/container-process.ts";
import { processesByInit, type ProcessEntry } from "./process-table.ts";

export interface Usage {
  /** The average CPU use over the window, in billionths of a processor. */
  readonly cpuNanoCores: number;
  /** The CPU time of the processes that still run and of their ended children, since the start of the processes. */
  readonly cpuTotalMs: number;
  readonly memoryBytes: number;
}

export interface UsageReport {
  /** The end of the window, in wall-clock time. */
  readonly atMs: number;
  readonly windowMs: number;
  readonly containers: ReadonlyMap<ProcessIdentity, Usage>;
  /** The use of all containers of the node together with the node's own process. */
  readonly node: Usage;
}

export interface UsageSamplerOptions {
  readonly clock: Clock;
  readonly processes: () => readonly ProcessEntry[];
  readonly memoryBytes: (pid: number) => Promise<number>;
  /** The first process of each running container. */
  readonly containers: () => readonly ProcessIdentity[];
  readonly ownPid: number;
}

interface Sample {
  readonly steadyMs: number;
  /** The CPU time of each container, and that of the node's own process under {@link ownKey}. */
  readonly cpuMs: ReadonlyMap<string, number>;
}

/**
 * The shortest window of a measurement, in milliseconds. The result of a shorter one would be too coarse, because the
 * kernel counts in hundredths of a second.
 */
const minWindowMs = 1_000;
/**
 * The preferred minimum length of a window, in milliseconds. The newest sample that is at least this old begins the
 * window.
 */
const goodWindowMs = 10_000;
const maxWindowMs = 60_000;
const ownKey = "node";

/**
 * Measures the resource use of containers, but only on request, so that a lab without such requests spends no CPU on
 * it. CPU use needs two samples, so the first request after a minute without requests takes a second. Later requests
 * are answered at once, and their window begins at an earlier request.
 */
export class UsageSampler {
  readonly #options: UsageSamplerOptions;
  /** The samples in the order of time, at least {@link minWindowMs} apart and at most {@link maxWindowMs} old. */
  #samples: Sample[] = [];
  #latest: { readonly steadyMs: number; readonly report: UsageReport } | undefined;
  #underWay: Promise<UsageReport> | undefined;

  constructor(options: UsageSamplerOptions) {
    this.#options = options;
  }

  /** Returns the present measurement. Concurrent requests share one. */
  async usage(): Promise<UsageReport> {
    this.#underWay ??= this.#measure().finally(() => (this.#underWay = undefined));
    return await this.#underWay;
  }

  async #measure(): Promise<UsageReport> {
    const { clock } = this.#options;
    const nowMs = clock.steadyMs();
    if (this.#latest !== undefined && nowMs - this.#latest.steadyMs < minWindowMs) return this.#latest.report;
    this.#samples = this.#samples.filter((sample) => nowMs - sample.steadyMs <= maxWindowMs);
    if (this.#samples.length === 0) {
      this.#samples.push(this.#sample().sample);
      await clock.sleep(minWindowMs);
    }
    const { sample, groups } = this.#sample();
    const base = this.#baseOf(sample);
    this.#samples.push(sample);
    const report = await this.#report(base, sample, groups);
    this.#latest = { steadyMs: sample.steadyMs, report };
    return report;
  }

  #baseOf({ steadyMs }: Sample): Sample {
    const base = this.#samples.findLast((sample) => steadyMs - sample.steadyMs >= goodWindowMs) ?? this.#samples[0];
    if (base === undefined) throw new Error("a window needs an earlier sample");
    return base;
  }

  #sample(): { readonly sample: Sample; readonly groups: ReadonlyMap<ProcessIdentity, readonly ProcessEntry[]> } {
    const { clock, containers, processes, ownPid } = this.#options;
    const steadyMs = clock.steadyMs();
    const table = processes();
    const own = table.find((entry) => entry.pid === ownPid);
    const running = containers();
    const byInit = processesByInit(table, new Set(running.map(({ pid }) => pid)), own?.pidNamespace ?? "");
    const groups = new Map<ProcessIdentity, readonly ProcessEntry[]>();
    const cpuMs = new Map<string, number>([[ownKey, own?.cpuMs ?? 0]]);
    for (const identity of running) {
      const group = byInit.get(identity.pid) ?? [];
      // If another process has this pid by now, the container has ended.
      if (!group.some((entry) => entry.pid === identity.pid && entry.startTicks === identity.startTicks)) continue;
      groups.set(identity, group);
      cpuMs.set(
        keyOfProcess(identity),
        group.reduce((sum, entry) => sum + entry.cpuMs, 0),
      );
    }
    return { sample: { steadyMs, cpuMs }, groups };
  }

  async #report(
    base: Sample,
    sample: Sample,
    groups: ReadonlyMap<ProcessIdentity, readonly ProcessEntry[]>,
  ): Promise<UsageReport> {
    const windowMs = sample.steadyMs - base.steadyMs;
    const usageOf = async (key: string, pids: readonly number[]): Promise<Usage> => {
      const cpuTotalMs = sample.cpuMs.get(key) ?? 0;
      // A container without an earlier sample has started within the window, so its base is zero. The difference is
      // negative if processes of `exec` have ended, because their time no longer counts.
      const usedMs = Math.max(0, cpuTotalMs - (base.cpuMs.get(key) ?? 0));
      const bytes = await Promise.all(pids.map(async (pid) => await this.#options.memoryBytes(pid)));
      return {
        cpuNanoCores: Math.round((usedMs / windowMs) * 1e9),
        cpuTotalMs,
        memoryBytes: bytes.reduce((sum, count) => sum + count, 0),
      };
    };
    const containers = new Map<ProcessIdentity, Usage>();
    for (const [identity, group] of groups)
      containers.set(
        identity,
        await usageOf(
          keyOfProcess(identity),
          group.map(({ pid }) => pid),
        ),
      );
    const own = await usageOf(ownKey, [this.#options.ownPid]);
    const node = [own, ...containers.values()].reduce((sum, usage) => ({
      cpuNanoCores: sum.cpuNanoCores + usage.cpuNanoCores,
      cpuTotalMs: sum.cpuTotalMs + usage.cpuTotalMs,
      memoryBytes: sum.memoryBytes + usage.memoryBytes,
    }));
    return { atMs: this.#options.clock.nowMs(), windowMs, containers, node };
  }
}

function keyOfProcess({ pid, startTicks }: ProcessIdentity): string {
  return `${pid}/${startTicks}`;
}
