import type { Clock } from "../../../base/index.ts";
import type { ProcessIdentity } from "../containers/container-process.ts";
import { processesByInit, type ProcessEntry } from "./process-table.ts";

/** The processor time and memory of one group of processes. */
export interface Usage {
  /** Billionths of a processor, on average over the window. */
  readonly cpuNanoCores: number;
  /** The CPU time since the start of the processes that still run. */
  readonly cpuTotalMs: number;
  readonly memoryBytes: number;
}

export interface UsageReport {
  /** The end of the window, as wall-clock time. */
  readonly atMs: number;
  readonly windowMs: number;
  readonly containers: ReadonlyMap<ProcessIdentity, Usage>;
  /** The node's containers and the node process itself. */
  readonly node: Usage;
}

export interface UsageSamplerOptions {
  readonly clock: Clock;
  readonly processes: () => readonly ProcessEntry[];
  readonly memoryBytes: (pid: number) => Promise<number>;
  /** The first processes of all containers that run. */
  readonly containers: () => readonly ProcessIdentity[];
  /** The ID of the process of the lab's node itself. */
  readonly ownPid: number;
}

interface Sample {
  readonly steadyMs: number;
  /** The CPU time of each container, and of the node process under {@link ownKey}. */
  readonly cpuMs: ReadonlyMap<string, number>;
}

/**
 * The shortest window of a measurement, in milliseconds. A shorter one would be too coarse, because the kernel counts
 * in hundredths of a second.
 */
const minWindowMs = 1_000;
/** The minimum length of a window. The newest sample that is at least this old begins the window. */
const goodWindowMs = 10_000;
const maxWindowMs = 60_000;
const ownKey = "node";

/**
 * Measures the resource use of containers, but only on request, so that a lab without such requests spends no CPU on
 * it. Processor time needs two samples, so the first request after a minute without one takes a second. Later requests
 * are answered at once, and their window begins at an earlier request.
 */
export class UsageSampler {
  readonly #options: UsageSamplerOptions;
  /** The samples in the order of time, at least {@link minWindowMs} apart and never older than {@link maxWindowMs}. */
  #samples: Sample[] = [];
  #latest: { readonly steadyMs: number; readonly report: UsageReport } | undefined;
  #underWay: Promise<UsageReport> | undefined;

  constructor(options: UsageSamplerOptions) {
    this.#options = options;
  }

  /** Requests at the same time share one measurement. */
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
      // Another process has this pid by now, so the container has ended.
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
      // A container without an earlier sample has started within the window. The sum may fall, because programs that
      // `exec` ran have ended.
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
