// The types of a case, and of the tools that it gets.
import type { LoadReports } from "../../scripts/proofs/upgrade-proof/load-totals.ts";
import type { ConstantLoad } from "./constant-load.ts";
import type { RealCluster } from "./real-cluster.ts";
import type { Release } from "./releases.ts";

export interface Bench {
  readonly cluster: RealCluster;
  readonly reports: LoadReports;
  readonly load: ConstantLoad;
  /** The running case adds the faults that it causes. */
  readonly excuses: Excuse[];
  /** The release that is installed. */
  readonly release: Release;
  /** The release that the mesh is upgraded to. */
  readonly next: Release;
  readonly note: (text: string) => void;
}

/** A fault that a case has caused, such as a killed process. It explains the requests that fail meanwhile. */
export interface Excuse {
  /** The error texts of these requests. */
  readonly cause: RegExp;
  /** When the fault began, in milliseconds since 1970. */
  readonly fromMs: number;
  /** When what the fault had hit was ready again. */
  readonly untilMs: number;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  /** Cases that must run before this one. */
  readonly after?: readonly string[];
  /** Returns the result in words. Throws if it is wrong. */
  run(bench: Bench): Promise<string>;
}

export interface CaseResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly saw: string;
  readonly requests: number;
  /** The number of failed requests that no fault of the case explains. */
  readonly requestsFailed: number;
  /** The number of requests that failed because of a fault of the case. */
  readonly requestsExcused: number;
}

/** The named cases, and those that must run before them, in the order of the list. All cases if none is named. */
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
