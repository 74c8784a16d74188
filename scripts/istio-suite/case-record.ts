// Records the verdicts of each test of a suite over all runs, as one JSON line for each verdict. The last line of a
// test applies.
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Verdict } from "./test-output.ts";

export interface CaseResult {
  /** The test's full name in Go: `TestTraffic/virtualservice/added_header`. */
  readonly test: string;
  readonly verdict: Verdict;
  readonly seconds: number;
  /** The time in ISO 8601. */
  readonly at: string;
  /** The last output lines of a test that failed or was skipped. */
  readonly why?: string;
}

export interface Counts {
  readonly cases: number;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

export class CaseRecord {
  readonly #file: string;
  readonly #results = new Map<string, CaseResult>();

  constructor(file: string) {
    this.#file = file;
  }

  /** Reads the verdicts of earlier runs. Ignores an incomplete last line. */
  load(): void {
    if (!existsSync(this.#file)) return;
    for (const line of readFileSync(this.#file, "utf8").split("\n").slice(0, -1)) {
      const result = JSON.parse(line) as CaseResult;
      this.#results.set(result.test, result);
    }
  }

  forget(isForgotten: (test: string) => boolean): void {
    for (const test of this.#results.keys()) if (isForgotten(test)) this.#results.delete(test);
    rmSync(this.#file, { force: true });
    mkdirSync(dirname(this.#file), { recursive: true });
    writeFileSync(this.#file, [...this.#results.values()].map((result) => `${JSON.stringify(result)}\n`).join(""));
  }

  add(result: CaseResult): void {
    this.#results.set(result.test, result);
    mkdirSync(dirname(this.#file), { recursive: true });
    appendFileSync(this.#file, `${JSON.stringify(result)}\n`);
  }

  has(test: string): boolean {
    return this.#results.has(test);
  }

  /** Returns the tests that have ended, without subtests of another listed test. */
  ended(): readonly string[] {
    return [...this.#results.keys()].filter((test) => ancestorsOf(test).every((parent) => !this.#results.has(parent)));
  }

  /**
   * Returns the cases, which are the tests without subtests. A failed test without a failed subtest is a case too,
   * because its own code failed before or after them. Empty groups of cases are left out.
   */
  cases(): readonly CaseResult[] {
    const parents = new Set<string>();
    const parentsOfFailed = new Set<string>();
    for (const { test, verdict } of this.#results.values())
      for (const parent of ancestorsOf(test)) {
        parents.add(parent);
        if (verdict === "failed") parentsOfFailed.add(parent);
      }
    return [...this.#results.values()].filter(
      (result) =>
        !isEmptyGroup(result) &&
        (!parents.has(result.test) || (result.verdict === "failed" && !parentsOfFailed.has(result.test))),
    );
  }

  counts(): Counts {
    const cases = this.cases();
    const count = (wanted: Verdict): number => cases.filter(({ verdict }) => verdict === wanted).length;
    return { cases: cases.length, passed: count("passed"), failed: count("failed"), skipped: count("skipped") };
  }
}

/**
 * Whether the test is an empty group of cases: Istio's framework skips a pair of client and server for which a test has
 * no case.
 */
function isEmptyGroup({ verdict, why = "" }: CaseResult): boolean {
  return verdict === "skipped" && /cases from \S+ in \S+ with .* as destination are removed by filters/.test(why);
}

/** Returns the tests that contain the given test, the outermost first. */
export function ancestorsOf(test: string): readonly string[] {
  const elements = test.split("/");
  return elements.slice(1).map((_, index) => elements.slice(0, index + 1).join("/"));
}

/** Returns a pattern for -test.run and -test.skip that matches only these tests. */
export function patternFor(tests: readonly string[]): string {
  return tests
    .map((test) =>
      test
        .split("/")
        .map((element) => `^${element.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&")}$`)
        .join("/"),
    )
    .join("|");
}

/** Whether a pattern for -test.run chooses a test function. Only the test binary knows the tests below it. */
export function choosesFunction(pattern: string, name: string): boolean {
  return partsOf(pattern, "|").some((part) => new RegExp(partsOf(part, "/")[0] ?? "").test(name));
}

/** Splits a pattern as Go does: at separators that are not inside brackets or parentheses. */
function partsOf(pattern: string, separator: "/" | "|"): string[] {
  const parts: string[] = [];
  let begin = 0;
  let brackets = 0;
  let parentheses = 0;
  for (let index = 0; index < pattern.length; index += 1) {
    const character = pattern[index];
    if (character === "\\") index += 1;
    else if (character === "[") brackets += 1;
    else if (character === "]") brackets = Math.max(brackets - 1, 0);
    else if (brackets > 0) continue;
    else if (character === "(") parentheses += 1;
    else if (character === ")") parentheses -= 1;
    else if (character === separator && parentheses === 0) {
      parts.push(pattern.slice(begin, index));
      begin = index + 1;
    }
  }
  return [...parts, pattern.slice(begin)];
}
