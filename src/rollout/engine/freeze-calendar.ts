import type { Freeze, FreezeWindow } from "../../api/serin/index.ts";
import { freezesInForce, windowState, type Blocker, type FreezeSubject, type WindowState } from "../decide/index.ts";

const maxKept = 1024;

interface Kept extends WindowState {
  readonly fromMs: number;
}

/** Answers which freezes are in force. Remembers the state of each window until that state ends. */
export class FreezeCalendar {
  readonly #kept = new Map<string, Kept>();

  inForce(freezes: readonly Freeze[], subject: FreezeSubject, nowMs: number): readonly Blocker[] {
    return freezesInForce(freezes, subject, nowMs, (window, timeZone, atMs) => this.#stateOf(window, timeZone, atMs));
  }

  #stateOf(window: FreezeWindow, timeZone: string, nowMs: number): WindowState {
    const key = JSON.stringify([window, timeZone]);
    const kept = this.#kept.get(key);
    if (kept !== undefined && kept.fromMs <= nowMs && nowMs < kept.untilMs) return kept;
    const state = { ...windowState(window, timeZone, nowMs), fromMs: nowMs };
    if (this.#kept.size >= maxKept) this.#kept.clear();
    this.#kept.set(key, state);
    return state;
  }
}
