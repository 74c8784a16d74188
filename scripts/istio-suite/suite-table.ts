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

/** Returns a table with one line for each suite, and below it every failed case with the reason from its output. */
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

/**
 * Returns a table of the cases that ran both with Serin's mesh and with Istio's in the same lab: their counts, and the
 * cases whose verdicts differ. The text is empty if no case ran with both. A case that fails with both shows a
 * difference of the lab.
 */
export function comparisonTable(serin: readonly SuiteOutcome[], upstream: readonly SuiteOutcome[]): string {
  const rows: string[] = [];
  const differences: string[] = [];
  for (const { suite, record } of serin) {
    const others = new Map(
      upstream
        .find((outcome) => outcome.suite === suite)
        ?.record.cases()
        .map((result) => [result.test, result]),
    );
    const pairs = record.cases().flatMap((own) => {
      const other = others.get(own.test);
      return other === undefined ? [] : [{ own, other }];
    });
    if (pairs.length === 0) continue;
    const failed = (side: "own" | "other"): number => pairs.filter((pair) => pair[side].verdict === "failed").length;
    const both = pairs.filter(({ own, other }) => own.verdict === "failed" && other.verdict === "failed").length;
    rows.push(comparisonRow([suite, ...[pairs.length, failed("own"), failed("other"), both].map(String)]));
    for (const { own, other } of pairs)
      if (own.verdict !== other.verdict)
        differences.push(
          `${suite} ${own.test}\n    Serin ${own.verdict}, upstream ${other.verdict}: ${reasonOf(own.verdict === "failed" ? own : other)}\n`,
        );
  }
  if (rows.length === 0) return "";
  const header = comparisonRow(["cases of both meshes", "cases", "failed: Serin", "upstream", "both"]);
  return ["\n", header, ...rows, "\n", ...differences].join("");
}

function comparisonRow(cells: readonly string[]): string {
  return `${(cells[0] ?? "").padEnd(36)}${cells
    .slice(1)
    .map((cell) => cell.padStart(15))
    .join("")}\n`;
}

/** Returns the first output line of a test that explains the failure. */
export function reasonOf({ why = "" }: CaseResult): string {
  const lines = why.split("\n").map((line) => line.trim());
  return (
    lines.find((line) => /\b(error|fail\w*|expected|did not|timeout|ended before)\b/i.test(line)) ??
    lines.at(-1) ??
    ""
  ).slice(0, 200);
}

/**
 * Returns the totals of the suites that have a verdict. The totals of all suites also count the excluded cases of
 * suites that did not run.
 */
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
