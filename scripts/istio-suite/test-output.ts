// Parses the output of a Go test binary with -test.v=test2json into events.

export type Verdict = "passed" | "failed" | "skipped";

export type TestEvent =
  | { readonly kind: "run"; readonly test: string }
  | { readonly kind: "verdict"; readonly test: string; readonly verdict: Verdict; readonly seconds: number }
  | { readonly kind: "line"; readonly test: string; readonly text: string };

const verdicts: Readonly<Record<string, Verdict>> = { PASS: "passed", FAIL: "failed", SKIP: "skipped" };
/** The binary writes this before each of its own lines, even in the middle of a test's line. */
const marker = "\u0016";
/** The maximum number of characters of an incomplete line that stay in memory. Only dumps have longer lines. */
const lineBytes = 16_384;

export class TestOutput {
  #rest = "";
  #current = "";

  /** Returns the events that the text completes. */
  feed(text: string): readonly TestEvent[] {
    const lines = (this.#rest + text).replaceAll(marker, `\n${marker}`).split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, lineBytes);
    return lines.flatMap((line) => this.#read(line));
  }

  /** Returns the events of an unfinished last line. */
  end(): readonly TestEvent[] {
    const rest = this.#rest;
    this.#rest = "";
    return rest === "" ? [] : this.#read(rest);
  }

  #read(line: string): readonly TestEvent[] {
    if (!line.startsWith(marker)) return line === "" ? [] : [{ kind: "line", test: this.#current, text: line }];
    const content = line.slice(marker.length);
    const [, change, name = ""] = /^=== (RUN|PAUSE|CONT|NAME) +(\S*)/.exec(content) ?? [];
    if (change !== undefined) {
      this.#current = name;
      return change === "RUN" ? [{ kind: "run", test: name }] : [];
    }
    const [, result = "", test = "", seconds] = /^ *--- (PASS|FAIL|SKIP): (\S+) \(([\d.]+)s\)/.exec(content) ?? [];
    const verdict = verdicts[result];
    if (verdict === undefined) return [];
    this.#current = test;
    return [{ kind: "verdict", test, verdict, seconds: Number(seconds) }];
  }
}
