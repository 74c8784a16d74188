// Injects faults one after another. Each fault ends before the next one begins.
import { messageOf } from "../../src/base/index.ts";
import { inTime, TimeLimitError, untilDone, type Chaos } from "./chaos.ts";

/** One fault, aimed at a process, a link or an object. */
export interface AimedFault {
  /** Starts the fault. Returns a description of its target. */
  readonly begin: (signal: AbortSignal) => string | Promise<string>;
  /** Undoes the fault, even if it took effect only in part or not at all. A failed call is repeated. */
  readonly end: (signal: AbortSignal) => unknown;
}

export interface Fault {
  readonly name: string;
  /**
   * The fault cuts the connections of the load's targets with this prefix. The empty prefix means all targets, and
   * undefined means none.
   */
  readonly cuts: string | undefined;
  readonly lastsMs: number;
  /** The time limit for ending the fault, if it differs from that of the run. */
  readonly endMs?: number;
  /**
   * Chooses a target. Throws if the fault is not possible in this lab or on this machine. The fault's time begins after
   * the choice.
   */
  readonly aim: (chaos: Chaos, signal: AbortSignal) => AimedFault | Promise<AimedFault>;
}

export interface InjectedFault {
  readonly name: string;
  readonly cuts: string | undefined;
  /** Milliseconds since the epoch. */
  readonly fromMs: number;
  /** Milliseconds since the epoch. Infinity until the fault has ended. */
  untilMs: number;
}

export interface InjectionLimits {
  readonly beginMs: number;
  readonly endMs: number;
}

export const injectionLimits: InjectionLimits = { beginMs: 15_000, endMs: 30_000 };

export class FaultInjector {
  readonly injected: InjectedFault[] = [];
  /** The faults that could not be ended, each with the reason. */
  readonly unended: string[] = [];
  readonly #chaos: Chaos;
  readonly #limits: InjectionLimits;

  constructor(chaos: Chaos, limits = injectionLimits) {
    this.#chaos = chaos;
    this.#limits = limits;
  }

  /**
   * Injects the fault, waits for its duration, and ends it. If no target can be chosen, prints the reason and skips the
   * fault.
   */
  async inject(fault: Fault): Promise<void> {
    const { name, cuts, lastsMs } = fault;
    const { proof, clock } = this.#chaos;
    const { signal } = proof;
    let aimed: AimedFault;
    try {
      const aim = async (ends: AbortSignal): Promise<AimedFault> => await fault.aim(this.#chaos, ends);
      aimed = await inTime(`aiming ${name}`, this.#limits.beginMs, aim, signal);
    } catch (error) {
      signal.throwIfAborted();
      proof.note(`fault left out: ${name}: ${messageOf(error)}`);
      return;
    }
    const injected: InjectedFault = { name, cuts, fromMs: clock.nowMs(), untilMs: Number.POSITIVE_INFINITY };
    this.injected.push(injected);
    let refused: unknown;
    try {
      const target = await inTime(name, this.#limits.beginMs, async (ends) => await aimed.begin(ends), signal);
      proof.note(`fault: ${name}: ${target}`);
      await clock.sleep(lastsMs, signal);
    } catch (error) {
      signal.throwIfAborted();
      refused = error;
    }
    await this.#end(injected, aimed, fault.endMs ?? this.#limits.endMs);
    if (refused === undefined) return;
    proof.note(`fault not begun: ${name}: ${messageOf(refused)}`);
    // A command that reached its time limit may have taken effect, so its fault stays in the record. A command that
    // failed at once did not.
    if (!(refused instanceof TimeLimitError)) this.injected.splice(this.injected.indexOf(injected), 1);
  }

  async #end(injected: InjectedFault, aimed: AimedFault, limitMs: number): Promise<void> {
    const { proof, clock } = this.#chaos;
    const title = `the end of ${injected.name}`;
    let last: unknown;
    try {
      await inTime(
        title,
        limitMs,
        async (ends) =>
          await untilDone(clock, ends, async () => {
            try {
              await aimed.end(ends);
            } catch (error) {
              last = error;
              throw error;
            }
          }),
        proof.signal,
      );
      injected.untilMs = clock.nowMs();
    } catch (error) {
      proof.signal.throwIfAborted();
      const text = [messageOf(error), ...(last === undefined ? [] : [messageOf(last)])].join(": ");
      this.unended.push(text);
      proof.note(`NOT ENDED ${text}`);
    }
  }
}

/** Yields all faults once in random order, then all of them again in a new order, without end. */
export function* inTurn<One>(faults: readonly One[], random: () => number): Generator<One, void> {
  while (faults.length > 0) {
    const left = [...faults];
    while (left.length > 0) yield* left.splice(Math.floor(random() * left.length), 1);
  }
}
