// A reporter for Node's test runner. For each file that has ended, it writes one line of JSON: the counts, and a
// summary for people with the failures, the file's output and the slow tests. If files share a process, Node does not
// report the end of each file, so their lines come when the process ends.
import { relative } from "node:path";
import { inspect } from "node:util";
import type { TestEvent } from "node:test/reporters";

/** The result of one test file: one line of the report. */
export interface FileCounts {
  readonly file: string;
  passed: number;
  failed: number;
  skipped: string[];
  durationMs: number;
  /** The failures and slow tests, for people. Empty for a file that passed quickly. */
  summary: string;
}

type TestResult = Extract<TestEvent, { type: "test:pass" | "test:fail" }>;

const slowFileMs = 3_000;
const slowTestMs = 5_000;
const maxOutputCharacters = 64 << 10;
const maxFailureCharacters = 16 << 10;

class FileRun {
  readonly counts: FileCounts;
  readonly #lines: string[] = [];
  #output = "";
  /** The total time of the file's outermost tests. */
  testsMs = 0;

  constructor(file: string) {
    this.counts = { file, passed: 0, failed: 0, skipped: [], durationMs: 0, summary: "" };
  }

  add({ type, data }: TestResult): void {
    if (data.nesting === 0) this.testsMs += data.details.duration_ms;
    if (data.details.type === "suite") {
      if (type === "test:fail") this.#addSuite(data.name, data.details.error);
      return;
    }
    if (isSet(data.skip)) this.counts.skipped.push(`${this.counts.file}: ${data.name}: ${String(data.skip)}`);
    else if (isSet(data.todo)) this.counts.skipped.push(`${this.counts.file}: ${data.name}: to do`);
    else if (type === "test:pass") this.counts.passed += 1;
    else {
      this.counts.failed += 1;
      this.#lines.push(`  FAILED ${data.name}\n${indent(textOf(data.details.error))}`);
    }
    if (data.details.duration_ms > slowTestMs) this.#lines.push(`  ${seconds(data.details.duration_ms)}  ${data.name}`);
  }

  /**
   * Adds a failure of a suite that is not a test's: in the suite's own function, or in a hook. Tests are reported one
   * by one.
   */
  #addSuite(name: string, error: Error): void {
    const type = "failureType" in error ? error.failureType : undefined;
    if (type === "hookFailed") this.#lines.push(`  FAILED before or after ${name}\n${indent(textOf(error))}`);
    if (type !== "testCodeFailure") return;
    // If none of the file's tests is known, the file counts as one failed test.
    this.counts.failed += 1;
    this.#lines.push(`  FAILED ${name}\n${indent(textOf(error))}`);
  }

  print(message: string): void {
    if (this.#output.length < maxOutputCharacters) this.#output += message;
  }

  summary(durationMs: number): string {
    const { file, passed, failed } = this.counts;
    const good = failed === 0;
    if (good && durationMs < slowFileMs) return "";
    const printed = good || this.#output.trim() === "" ? [] : [`  It printed:\n${indent(this.#output)}`];
    return `${[`${good ? "slow" : "FAILED"}  ${seconds(durationMs)}  ${file}: ${passed} passed, ${failed} failed`, ...this.#lines, ...printed].join("\n")}\n`;
  }
}

async function* countReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const runs = new Map<string, FileRun>();
  const runOf = (path: string | undefined): FileRun => {
    const file = path === undefined ? "(no file)" : relative(process.cwd(), path);
    let run = runs.get(file);
    if (run === undefined) runs.set(file, (run = new FileRun(file)));
    return run;
  };
  const end = (run: FileRun, durationMs: number): string => {
    run.counts.durationMs = Math.round(durationMs);
    run.counts.summary = run.summary(durationMs);
    runs.delete(run.counts.file);
    return `${JSON.stringify(run.counts)}\n`;
  };
  for await (const event of source) {
    if (event.type === "test:pass" || event.type === "test:fail") runOf(event.data.file).add(event);
    else if (event.type === "test:stderr" || event.type === "test:stdout")
      runOf(event.data.file).print(event.data.message);
    else if (event.type === "test:summary" && event.data.file !== undefined)
      yield end(runOf(event.data.file), event.data.duration_ms);
  }
  for (const run of runs.values())
    if (run.counts.passed + run.counts.failed + run.counts.skipped.length > 0) yield end(run, run.testsMs);
}

function isSet(value: string | boolean | undefined): boolean {
  return value !== undefined && value !== false;
}

function textOf(error: Error): string {
  const cause: unknown = error.cause ?? error;
  const text =
    cause instanceof Error ? (cause.stack ?? cause.message) : typeof cause === "string" ? cause : inspect(cause);
  if (text.length <= maxFailureCharacters) return text;
  // A failed proof states its failure at the end of its output, so keep both the beginning and the end.
  const part = maxFailureCharacters / 2;
  return `${text.slice(0, part)}\n… ${text.length - 2 * part} characters …\n${text.slice(-part)}`;
}

function indent(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, "    ");
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1).padStart(5)} s`;
}

// oxlint-disable-next-line import/no-default-export -- node's test runner loads a reporter by its default export
export default countReporter;
