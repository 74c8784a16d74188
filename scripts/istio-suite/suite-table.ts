// The summary at the end of a run of Istio's suites.
import type { CaseRecord, CaseResult } from "./case-record.ts";
import { exclusions } from "./suites.ts";

export interface SuiteOutcome {
  readonly suite: string;
  readonly record: CaseRecord;
}

export interface Totals {
  readonly suites: number;
  readonly cases: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly excluded: number;
}

/** One line for each suite, then every failed case with the reason from its output. */
export function suiteTable(outcomes: readonly SuiteOutcome[]): string {
  const ran = outcomes.filter(({ record }) => record.counts().cases > 0);
  const row = (cells: readonly string[]): string =>
    `${(cells[0] ?? "").padEnd(36)}${cells
      .slice(1)
      .map((cell) => cell.padStart(9))
      .join("")}\n`;
  const rows = ran.map(({ suite, record }) => {
    const { cases, passed, failed, skipped } = record.counts();
    return row([suite, ...[cases, passed, failed, skipped].map(String)]);
  });
  const failures = ran.flatMap(({ suite, record }) =>
    record
      .cases()
      .flatMap((result) => (result.verdict === "failed" ? [`${suite} ${result.test}\n    ${reasonOf(result)}\n`] : [])),
  );
  return [row(["suite", "cases", "passed", "failed", "skipped"]), ...rows, "\n", ...failures].join("");
}

/** The first output line of a test that explains the failure. */
export function reasonOf({ why = "" }: CaseResult): string {
  const lines = why.split("\n").map((line) => line.trim());
  return (
    lines.find((line) => /\b(error|fail\w*|expected|did not|timeout|ended before)\b/i.test(line)) ??
    lines.at(-1) ??
    ""
  ).slice(0, 200);
}

/** Totals of the suites that have a verdict. A run of all suites also counts the excluded cases. */
export function totalsOf(outcomes: readonly SuiteOutcome[], areAll: boolean): Totals {
  const ran = outcomes.filter(({ record }) => record.counts().cases > 0);
  const sum = (pick: "cases" | "passed" | "failed" | "skipped"): number =>
    ran.reduce((total, { record }) => total + record.counts()[pick], 0);
  const names = new Set(ran.map(({ suite }) => suite));
  const excluded = exclusions
    .filter(({ suite }) => areAll || names.has(suite))
    .reduce((total, { cases }) => total + cases, 0);
  return {
    suites: ran.length,
    cases: sum("cases") + excluded,
    passed: sum("passed"),
    failed: sum("failed"),
    skipped: sum("skipped"),
    excluded,
  };
}
