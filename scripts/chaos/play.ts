// Plays a run: it prepares the stage, runs faults, rollouts, writes and requests side by side, and evaluates the
// result. Every part has a time limit, and so has the whole run.
import type { LoadFailure } from "../../samples/load-generator/load-plan.ts";
import { messageOf } from "../../src/base/index.ts";
import { difference, type LoadTotals } from "../proofs/upgrade-proof/load-totals.ts";
import { ConstantLoad } from "../proofs/upgrade-proof/stage.ts";
import { inTime, type Chaos } from "./chaos.ts";
import { faults } from "./faults.ts";
import { isRequest, unexplainedFailures } from "./explain-failures.ts";
import { MemoryRecord } from "./memory-record.ts";
import { describeShortage, waitedMs } from "./processor-shortage.ts";
import { EndlessRollouts } from "./rollouts.ts";
import { setChaosStage } from "./stage.ts";
import { inTurn, FaultInjector } from "./fault-injector.ts";
import { describeFailure, describeMemory, type Found } from "./summary.ts";
import { AcknowledgedWrites } from "./writes.ts";

/** The time limit for the stage, from the run's start to its first fault. */
export const stageLimitMs = 180_000;
/** The time limit from the last fault to the report. */
export const endLimitMs = 90_000;
/** The part of `endLimitMs` that is reserved for the work after the last rollout. */
const countLimitMs = 25_000;
const loadEndLimitMs = 8_000;
const writesLimitMs = 10_000;
/** The pause after the last rollout, before the load stops. */
const calmMs = 3_000;
const faultEveryMs = 10_000;
const memoryEveryMs = 5_000;
/** The time limit of a request of the load. */
const requestLimitMs = 4_000;
/** The maximum number of failures that the run explains. It only counts the others. */
const maxFailures = 20_000;
/** The time within which a generator reports a failure. */
const examineAfterMs = 2_000;
/** The maximum number of unexplained failures that one look at the reports prints. */
const warnedFailures = 10;
/** The maximum number of failures that the final report prints, explained or not. */
const shownFailures = 200;

export class ChaosRun {
  readonly #chaos: Chaos;
  readonly #minutes: number;
  readonly #failures: LoadFailure[] = [];
  /** The number of failures that were examined during the run. */
  #examined = 0;
  readonly #memory = new MemoryRecord();
  readonly #problems: string[] = [];
  readonly #injector: FaultInjector;
  readonly #rollouts: EndlessRollouts;
  readonly #writes: AcknowledgedWrites;
  /** The lost writes, after the acknowledged writes have been read. */
  #lost: readonly string[] | undefined;
  #fromMs = 0;
  /** The time since the first fault, up to the planned end of the faults. It includes the pauses between faults. */
  #injectedMs = 0;
  #waitedMs: number | undefined;
  #begun: LoadTotals | undefined;
  #load: ConstantLoad | undefined;

  constructor(chaos: Chaos, minutes: number) {
    this.#chaos = chaos;
    this.#minutes = minutes;
    this.#injector = new FaultInjector(chaos);
    this.#rollouts = new EndlessRollouts(chaos);
    this.#writes = new AcknowledgedWrites(chaos);
  }

  /** Plays the run. Throws when the stage cannot be prepared, and when the run is interrupted. */
  async play(): Promise<void> {
    const { proof, clock } = this.#chaos;
    await inTime("the stage", stageLimitMs, async () => await this.#begin(), proof.signal);
    const forMs = this.#minutes * 60_000;
    const lastFaultMs = clock.steadyMs() + forMs;
    const endMs = lastFaultMs + endLimitMs;
    const leftMs = (): number => Math.max(0, endMs - clock.steadyMs());
    this.#fromMs = clock.nowMs();
    this.#waitedMs = waitedMs();
    const over = new AbortController();
    const counted = new AbortController();
    const rollouts = this.#rollouts.run(over.signal, lastFaultMs);
    const writing = this.#writes.run(counted.signal);
    const looking = this.#look(counted.signal);
    await this.#part("faults", forMs + endLimitMs - countLimitMs, async () => await this.#inject(lastFaultMs));
    over.abort();
    proof.note(`${this.#injector.injected.length} faults; the rollout under way now ends without faults`);
    await this.#ended(rollouts, leftMs() - countLimitMs);
    await clock.sleep(calmMs, proof.signal);
    counted.abort();
    await this.#part("the end of the load", loadEndLimitMs, async () => await this.stopLoad());
    await this.#part("reading what was written", writesLimitMs, async (signal) => {
      await Promise.all([writing, looking]);
      this.#lost = await this.#writes.lost(signal);
      proof.note(`${this.#writes.count} writes acknowledged, ${this.#lost.length} lost`);
    });
  }

  async stopLoad(): Promise<void> {
    await this.#load?.stop();
  }

  /** Returns the findings so far, also for an interrupted run. Prints the findings that the counts do not show. */
  found(): Found {
    const { proof, clock } = this.#chaos;
    const { totals } = proof.reports;
    this.#take();
    const { requests, failed, closedConnections } =
      this.#begun === undefined ? totals : difference(totals, this.#begun);
    const { rollouts, unended } = this.#rollouts.counts;
    const memory = this.#memory.compare(this.#fromMs, clock.nowMs());
    for (const role of memory) if (role.lastKib !== undefined) proof.note(describeMemory(role));
    const { injected } = this.#injector;
    for (const failure of this.#failures.slice(0, shownFailures))
      proof.note(`  failed ${describeFailure(failure, injected)}`);
    proof.note(`${closedConnections} long connections were closed`);
    if (this.#fromMs > 0) proof.note(describeShortage(this.#waitedMs, waitedMs(), clock.nowMs() - this.#fromMs));
    return {
      minutes: Math.round((10 * this.#injectedMs) / 60_000) / 10,
      orderedMinutes: this.#minutes,
      injected,
      unendedFaults: this.#injector.unended,
      rollouts,
      unendedRollouts: unended,
      writes: this.#writes.count,
      lostWrites: this.#lost,
      load: { requests, failed },
      failures: this.#failures,
      requestLimitMs,
      memory,
      problems: this.#problems,
    };
  }

  /** Runs a part. If it fails or reaches its time limit, the run records a problem and continues. */
  async #part(part: string, limitMs: number, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#chaos.proof;
    try {
      await inTime(part, limitMs, work, signal);
    } catch (error) {
      signal.throwIfAborted();
      this.#problems.push(`${part}: ${messageOf(error)}`);
    }
  }

  /** Waits for the rollouts to end. After the limit, `EndlessRollouts.counts` lists those that have not ended. */
  async #ended(rollouts: Promise<void>, limitMs: number): Promise<void> {
    const { signal } = this.#chaos.proof;
    try {
      await inTime("the last rollout", Math.max(0, limitMs), async () => await rollouts, signal);
    } catch {
      signal.throwIfAborted();
    }
  }

  /** Prepares the stage and begins the load. Discards the failures up to then, which belong to the stage. */
  async #begin(): Promise<void> {
    await setChaosStage(this.#chaos);
    const { proof } = this.#chaos;
    this.#load = await ConstantLoad.begin(proof);
    this.#begun = proof.reports.totals;
    proof.reports.failures.splice(0);
    const { requests, failed, targets } = this.#begun;
    proof.note(`the load has begun, ${requests} requests, ${failed} failed: ${Object.keys(targets).join(", ")}`);
  }

  /** Injects one fault after the other. A fault begins only if it can last for its full time before `lastFaultMs`. */
  async #inject(lastFaultMs: number): Promise<void> {
    const { clock, random, proof } = this.#chaos;
    const begunMs = clock.steadyMs();
    const restUntil = async (untilMs: number): Promise<void> => {
      await clock.sleep(Math.max(0, Math.min(untilMs, lastFaultMs) - clock.steadyMs()), proof.signal);
      this.#injectedMs = Math.min(clock.steadyMs(), lastFaultMs) - begunMs;
    };
    for (const fault of inTurn(faults, random)) {
      const roundMs = clock.steadyMs();
      if (roundMs + fault.lastsMs >= lastFaultMs) return await restUntil(lastFaultMs);
      await this.#injector.inject(fault);
      if (this.#injector.unended.length > 0) return;
      await restUntil(roundMs + faultEveryMs);
    }
  }

  async #look(until: AbortSignal): Promise<void> {
    const { proof, clock } = this.#chaos;
    while (!until.aborted) {
      try {
        this.#memory.look(proof.lab.cluster.processes(), clock.nowMs());
        proof.reports.read();
        this.#take();
        this.#warn();
        await clock.sleep(memoryEveryMs, until);
      } catch (error) {
        if (until.aborted) return;
        this.#problems.push(`sampling the processes and the reports: ${messageOf(error)}`);
        return;
      }
    }
  }

  /** Prints unexplained failures during the run, so that nobody waits an hour for them. */
  #warn(): void {
    const { proof, clock } = this.#chaos;
    const untilMs = clock.nowMs() - examineAfterMs;
    const later = this.#failures.findIndex(({ at }, index) => index >= this.#examined && Date.parse(at) > untilMs);
    const end = later < 0 ? this.#failures.length : later;
    const { injected } = this.#injector;
    const examined = this.#failures.slice(this.#examined, end).filter(isRequest);
    this.#examined = end;
    for (const failure of unexplainedFailures(examined, injected, requestLimitMs).slice(0, warnedFailures))
      proof.note(`UNEXPLAINED ${describeFailure(failure, injected)}`);
  }

  /** Moves the failures out of the reports, before their list reaches its limit. */
  #take(): void {
    const taken = this.#chaos.proof.reports.failures.splice(0);
    this.#failures.push(...taken.slice(0, Math.max(0, maxFailures - this.#failures.length)));
  }
}
