// What a case works with, and what a case is.
import type { LoadReports } from "../../scripts/upgrade-proof/load-totals.ts";
import type { ConstantLoad } from "./constant-load.ts";
import type { RealCluster } from "./real-cluster.ts";
import type { Release } from "./releases.ts";

export interface Bench {
  readonly cluster: RealCluster;
  readonly reports: LoadReports;
  readonly load: ConstantLoad;
  /** The release that is installed. */
  readonly release: Release;
  /** The one that the mesh is upgraded to. */
  readonly next: Release;
  readonly note: (text: string) => void;
}

export interface Case {
  readonly name: string;
  readonly title: string;
  /** Cases that have to be run before. */
  readonly after?: readonly string[];
  /** Causes of failed requests that the fault itself brings: connections that a killed process held. */
  readonly excused?: RegExp;
  /** Says what it saw; throws when that is not as it should be. */
  run(bench: Bench): Promise<string>;
}

export interface CaseResult {
  readonly name: string;
  readonly ok: boolean;
  readonly seconds: number;
  readonly saw: string;
  readonly requests: number;
  /** Without those that the case excuses. */
  readonly requestsFailed: number;
}

/** The named ones with all that they come after, in the order in which they are listed; all when none is named. */
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
