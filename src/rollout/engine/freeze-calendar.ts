import { BoundedCache } from "../../base/index.ts";
import { readFreeze, type Freeze, type FreezeRead, type FreezeWindow } from "../../api/serin/index.ts";
import { freezesInForce, windowState, type Blocker, type FreezeSubject, type WindowState } from "../decide/index.ts";

const maxKept = 1024;

interface Kept extends WindowState {
  readonly fromMs: number;
}

/**
 * Finds the freezes in force. Caches the parsed form of each stored object, and the state of each window until that
 * state ends.
 */
export class FreezeCalendar {
  readonly #read = new WeakMap<Freeze, FreezeRead>();
  readonly #kept = new BoundedCache<string, Kept>(maxKept);

  /** The freezes in force for a subject. `stored` are the cluster's objects, whose fields may be absent or invalid. */
  inForce(stored: readonly Freeze[], subject: FreezeSubject, nowMs: number): readonly Blocker[] {
    return freezesInForce(
      stored.map((freeze) => this.#readOf(freeze)),
      subject,
      nowMs,
      (window, timeZone, atMs) => this.#stateOf(window, timeZone, atMs),
    );
  }

  #readOf(stored: Freeze): FreezeRead {
    const known = this.#read.get(stored);
    if (known !== undefined) return known;
    const read = readFreeze(stored);
    this.#read.set(stored, read);
    return read;
  }

  #stateOf(window: FreezeWindow, timeZone: string, nowMs: number): WindowState {
    const key = JSON.stringify([window, timeZone]);
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.fromMs <= nowMs && nowMs < kept.untilMs) return kept;
    const state = { ...windowState(window, timeZone, nowMs), fromMs: nowMs };
    this.#kept.set(key, state);
    return state;
  }
}
