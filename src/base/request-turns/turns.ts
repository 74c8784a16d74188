import { BoundedCache } from "../bounded-cache.ts";
import type { Clock } from "../clock.ts";

/** The maximum number of waiting requests of one caller. A client may send many without waiting for answers. */
const maxWaiting = 256;

/**
 * The number of rounds of the event loop from one turn to the next. In between, the process can accept a new connection
 * in one round, and read its first bytes in another.
 */
const roundsBetween = 3;

/** The maximum number of callers whose used time is recorded. */
const maxCallers = 4_096;
/** After this time, half of a caller's used time is forgotten. */
const halfLifeMs = 60_000;
/** A turn counts as at least this long, so that callers with quick requests alternate too. */
const minTurnMs = 0.1;
/**
 * Newcomers, which have used no time, come before all other callers, and they may keep arriving. So a caller waits at
 * most this many times its own used time.
 */
const maxWaitRatio = 20;

interface WaitingRequest {
  readonly begin: () => void;
  readonly sinceMs: number;
}

interface UsedTime {
  readonly ms: number;
  readonly atMs: number;
}

/**
 * Gives a turn in every third round of the event loop, to the caller whose turns have taken the least time. Callers
 * with many or long requests delay the others, and the process's other work, by at most one request, however many such
 * callers there are.
 */
export class Turns {
  readonly #clock: Pick<Clock, "steadyMs">;
  readonly #waiting = new Map<string, WaitingRequest[]>();
  readonly #used = new BoundedCache<string, UsedTime>(maxCallers);
  #isScheduled = false;

  constructor(clock: Pick<Clock, "steadyMs">) {
    this.#clock = clock;
  }

  /** Resolves when the request has its turn. Undefined if too many requests of the caller wait. */
  take(caller: string): Promise<void> | undefined {
    const mine = this.#waiting.get(caller) ?? [];
    if (mine.length >= maxWaiting) return undefined;
    return new Promise((begin) => {
      mine.push({ begin, sinceMs: this.#clock.steadyMs() });
      this.#waiting.set(caller, mine);
      this.#schedule();
    });
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    const pass = (rounds: number): void => {
      if (rounds > 1) return void setImmediate(() => pass(rounds - 1));
      let turn: { readonly caller: string; readonly fromMs: number } | undefined;
      setImmediate(() => {
        this.#isScheduled = false;
        turn = this.#give();
      });
      // Charge the caller right after its work, in the same round of the event loop.
      setImmediate(() => {
        if (turn !== undefined) this.#charge(turn.caller, turn.fromMs);
      });
    };
    pass(roundsBetween);
  }

  #give(): { readonly caller: string; readonly fromMs: number } | undefined {
    const fromMs = this.#clock.steadyMs();
    const caller = this.#next(fromMs);
    if (caller === undefined) return undefined;
    const mine = this.#waiting.get(caller) ?? [];
    this.#waiting.delete(caller);
    const first = mine.shift();
    if (mine.length > 0) this.#waiting.set(caller, mine);
    if (this.#waiting.size > 0) this.#schedule();
    first?.begin();
    return { caller, fromMs };
  }

  #next(nowMs: number): string | undefined {
    let next: string | undefined;
    let leastMs = Infinity;
    for (const [caller, [first]] of this.#waiting) {
      const waitsSinceMs = Math.max(first?.sinceMs ?? nowMs, this.#used.get(caller)?.atMs ?? -Infinity);
      const countedMs = this.#usedMs(caller, nowMs) - (nowMs - waitsSinceMs) / maxWaitRatio;
      if (countedMs < leastMs) [next, leastMs] = [caller, countedMs];
    }
    return next;
  }

  #charge(caller: string, fromMs: number): void {
    const atMs = this.#clock.steadyMs();
    this.#used.set(caller, { ms: this.#usedMs(caller, atMs) + Math.max(atMs - fromMs, minTurnMs), atMs });
  }

  #usedMs(caller: string, nowMs: number): number {
    const used = this.#used.get(caller);
    return used === undefined ? 0 : used.ms * 2 ** ((used.atMs - nowMs) / halfLifeMs);
  }
}
