// What a case is, and what it gets.
import type { LoadReports } from "../../scripts/proofs/upgrade-proof/load-totals.ts";
import type { ConstantLoad } from "./constant-load.ts";
import type { RealCluster } from "./real-cluster.ts";
import type { Release } from "./releases.ts";

export interface Bench {
  readonly cluster: RealCluster;
  readonly reports: LoadReports;
  readonly load: ConstantLoad;
  /** A case that causes faults adds them here. */
  readonly excuses: Excuse[];
  readonly release: Release;
  readonly next: Release;
  readonly note: (text: string) => void;
}

/** A fault that a case has caused, such as a killed process. Requests that fail because of it are excused. */
export interface Excuse {
  /** Matches the error texts of these requests. */
  readonly cause: RegExp;
  /** Milliseconds since 1970. */
  readonly fromMs: number;
  /** When what the fault has hit was ready again. */
  readonly untilMs: number;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  readonly after?: readonly string[];
  /** Runs the case, and returns a line about its result. Throws if the case fails. */
  run(bench: Bench): Promise<string>;
}

export interface CaseResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly saw: string;
  readonly requests: number;
  /** Failed requests that no fault of the case excuses. */
  readonly requestsFailed: number;
  /** Failed requests that a fault of the case excuses. */
  readonly requestsExcused: number;
}

/** The named cases, and those that must run before them, in the order of the list. Without names, all cases. */
export function chosenCases(all: readonly Case[], names: readonly string[]): Case[] {
  if (names.length === 0) return [...all];
  const wanted = new Set<string>();
  const want = (name: string): void => {
    const found = all.find((one) => one.name === name);
    if (found === undefined)
      throw new Error(`--only ${name}: expected one of ${all.map((one) => one.name).join(", ")}`);
    if (wanted.has(name)) return;
    wanted.add(name);
    for (const before of found.after ?? []) want(before);
  };
  for (const name of names) want(name);
  return all.filter(({ name }) => wanted.has(name));
}
