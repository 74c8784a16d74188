// Samples the memory of the lab's processes by role, and decides whether it grows.
import { readFileSync } from "node:fs";
import type { MachineProcess } from "../../test/support/processes.ts";

/** The age from which a process's memory is measured. A younger process is still starting. */
const grownUpMs = 60_000;
const allowedGrowth = 1.05;
/** The shortest quarter of a run that can show growth. */
const minQuarterMs = 300_000;
const minLooks = 20;
const maxLooks = 20_000;

/** Ages of one band differ by at most this factor. */
const ageBandFactor = 1.25;
/** Growth by less than this many standard errors may be chance. */
const sureErrors = 2;

export interface Look {
  readonly pid: number;
  readonly atMs: number;
  /** The time since the process was first seen. */
  readonly ageMs: number;
  readonly kib: number;
}

export interface MemoryOfRole {
  readonly role: string;
  /**
   * The mean memory of the role's processes in the second quarter of the run, and in the last one. Both are absent if
   * one of the quarters has no samples.
   */
  readonly secondKib?: number;
  readonly lastKib?: number;
  /**
   * The memory in the last quarter divided by that in the second, for processes of the same age. If too few samples
   * have the same age, all samples are compared. That is so if all processes of the role lived through both quarters.
   */
  readonly ratio?: number;
  /**
   * Whether the memory grew from the second quarter to the last. False if the quarters are too short, or have too few
   * samples, for a decision.
   */
  readonly grows: boolean;
}

/**
 * Compares the memory of processes of the same age. The run kills processes, and the heap of a young process still
 * fills.
 */
export class MemoryRecord {
  readonly #looks = new Map<string, Look[]>();
  readonly #seenSinceMs = new Map<number, number>();

  /** Samples the resident memory of each process that is old enough. */
  look(processes: readonly MachineProcess[], nowMs: number): void {
    for (const { pid, words } of processes) {
      const role = roleOf(words);
      if (role === undefined) continue;
      const sinceMs = this.#seenSinceMs.get(pid) ?? nowMs;
      this.#seenSinceMs.set(pid, sinceMs);
      const ageMs = nowMs - sinceMs;
      const kib = ageMs < grownUpMs ? undefined : residentKib(pid);
      if (kib !== undefined) this.add(role, { pid, atMs: nowMs, ageMs, kib });
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
      if (second.length === 0 || last.length === 0) return { role, grows: false };
      const { ratio, error } = growthOf(second, last);
      const enough = quarterMs >= minQuarterMs && Math.min(second.length, last.length) >= minLooks;
      const grows = enough && ratio > allowedGrowth && ratio - 1 > sureErrors * error;
      return { role, secondKib: meanKib(second), lastKib: meanKib(last), ratio, grows };
    });
  }
}

interface Growth {
  readonly ratio: number;
  /** The standard error of the ratio. It can only be estimated from several processes. */
  readonly error: number;
}

function growthOf(second: readonly Look[], last: readonly Look[]): Growth {
  const [bandsBefore, bandsAfter] = [second, last].map((looks) => Map.groupBy(looks, ageBand));
  const shared = [...(bandsBefore?.keys() ?? [])].filter((band) => bandsAfter?.has(band) === true);
  // The mean size of each age band in the second quarter, so that processes of different ages become comparable.
  const usual = new Map(shared.map((band) => [band, meanKib(bandsBefore?.get(band) ?? [])]));
  const inBands = (looks: readonly Look[]): readonly Look[] => looks.filter((look) => usual.has(ageBand(look)));
  if (Math.min(inBands(second).length, inBands(last).length) < minLooks)
    return { ratio: meanKib(last) / meanKib(second), error: 0 };
  const ofProcesses = (looks: readonly Look[]): number[] =>
    [...Map.groupBy(inBands(looks), ({ pid }) => pid).values()].map((own) =>
      mean(own.map((look) => look.kib / (usual.get(ageBand(look)) ?? look.kib))),
    );
  const [before, after] = [ofProcesses(second), ofProcesses(last)];
  return { ratio: mean(after) / mean(before), error: Math.hypot(standardError(before), standardError(after)) };
}

function ageBand({ ageMs }: Look): number {
  return Math.floor(Math.log(Math.max(ageMs, 1)) / Math.log(ageBandFactor));
}

function meanKib(looks: readonly Look[]): number {
  return mean(looks.map(({ kib }) => kib));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function standardError(values: readonly number[]): number {
  if (values.length < 2) return 0;
  const average = mean(values);
  const squares = values.reduce((sum, value) => sum + (value - average) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
}

function roleOf(words: readonly string[]): string | undefined {
  const main = words.findIndex((word) => /\/cmd\/main\.[jt]s$/.test(word));
  return main === -1 || words[0]?.endsWith("/node") !== true ? undefined : words[main + 1];
}

function residentKib(pid: number): number | undefined {
  try {
    return residentKibOf(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    // The process has ended meanwhile.
    return undefined;
  }
}

/** Returns the resident memory in KiB. Returns undefined for a process that has ended and waits for its parent. */
export function residentKibOf(status: string): number | undefined {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? [];
  return kib === undefined ? undefined : Number(kib);
}
