import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestEvent } from "node:test/reporters";
import countReporter, { type FileCounts } from "./count-reporter.ts";

test("a failure whose error has no message of its own is reported with its fields", async () => {
  const cause: unknown = Object.assign(Object.create(null), { status: 503 });
  const events = [
    {
      type: "test:fail",
      data: {
        name: "asks",
        file: import.meta.filename,
        nesting: 0,
        details: { duration_ms: 1, error: new Error("failed", { cause }) },
      },
    },
  ] as unknown as readonly TestEvent[];
  const lines: string[] = [];
  for await (const line of countReporter(asynchronous(events))) lines.push(line);
  const [counts] = lines.map((line) => JSON.parse(line) as FileCounts);
  assert.equal(counts?.failed, 1);
  assert.match(counts.summary, /FAILED asks\n.*status: 503/);
});

async function* asynchronous<T>(values: readonly T[]): AsyncGenerator<T> {
  yield* values;
}
