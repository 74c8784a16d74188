// Samples the memory of the lab's processes by role, and decides whether it grows.
import { readFileSync } from "node:fs";
import type { MachineProcess } from "../../test/support/processes.ts";

/** A younger process is still starting. */
const grownUpMs = 60_000;
const allowedGrowth = 1.05;
/** A shorter quarter, or one with fewer samples, shows nothing about growth. */
const minQuarterMs = 300_000;
const minLooks = 20;
const maxLooks = 20_000;

interface Look {
  readonly atMs: number;
  readonly kib: number;
}

export interface MemoryOfRole {
  readonly role: string;
  /**
   * The mean memory of a process of the role in the second and in the last quarter of the run. Undefined without
   * samples.
   */
  readonly secondKib?: number;
  readonly lastKib?: number;
  /** Also false when the quarters are too short for a decision. */
  readonly grows: boolean;
}

export class MemoryRecord {
  readonly #looks = new Map<string, Look[]>();
  readonly #seenSinceMs = new Map<number, number>();

  /** Samples the resident memory of each process. */
  look(processes: readonly MachineProcess[], nowMs: number): void {
    for (const { pid, words } of processes) {
      const role = roleOf(words);
      if (role === undefined) continue;
      const sinceMs = this.#seenSinceMs.get(pid) ?? nowMs;
      this.#seenSinceMs.set(pid, sinceMs);
      const kib = nowMs - sinceMs < grownUpMs ? undefined : residentKib(pid);
      if (kib !== undefined) this.add(role, { atMs: nowMs, kib });
    }
    const alive = new Set(processes.map(({ pid }) => pid));
    for (const pid of this.#seenSinceMs.keys()) if (!alive.has(pid)) this.#seenSinceMs.delete(pid);
  }

  add(role: string, look: Look): void {
    const looks = this.#looks.get(role) ?? [];
    if (looks.length < maxLooks) looks.push(look);
    this.#looks.set(role, looks);
  }

  /** Compares the last quarter of a run with the second. */
  compare(fromMs: number, untilMs: number): readonly MemoryOfRole[] {
    const quarterMs = (untilMs - fromMs) / 4;
    const looksOf = (looks: readonly Look[], number: number): readonly Look[] => {
      const begin = fromMs + number * quarterMs;
      return looks.filter(({ atMs }) => atMs >= begin && atMs < begin + quarterMs);
    };
    return [...this.#looks].map(([role, looks]) => {
      const [second, last] = [looksOf(looks, 1), looksOf(looks, 3)];
      const [secondKib, lastKib] = [meanKib(second), meanKib(last)];
      if (secondKib === undefined || lastKib === undefined) return { role, grows: false };
      const enough = quarterMs >= minQuarterMs && Math.min(second.length, last.length) >= minLooks;
      return { role, secondKib, lastKib, grows: enough && lastKib > secondKib * allowedGrowth };
    });
  }
}

function meanKib(looks: readonly Look[]): number | undefined {
  return looks.length === 0 ? undefined : looks.reduce((sum, { kib }) => sum + kib, 0) / looks.length;
}

function roleOf(words: readonly string[]): string | undefined {
  const main = words.findIndex((word) => /\/cmd\/main\.[jt]s$/.test(word));
  return main === -1 || words[0]?.endsWith("/node") !== true ? undefined : words[main + 1];
}

function residentKib(pid: number): number | undefined {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    // The process has ended meanwhile.
    return undefined;
  }
}
