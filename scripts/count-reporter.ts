// A reporter for node's test runner: prints failures as they come, and leaves the counts as JSON in its destination.
import type { TestEvent } from "node:test/reporters";

async function* countReporter(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const counts = { passed: 0, failed: 0, skipped: [] as string[] };
  for await (const event of source) {
    if (event.type === "test:pass" || event.type === "test:fail") {
      const { data } = event;
      if (data.details.type === "suite") continue;
      if (data.skip !== undefined && data.skip !== false) counts.skipped.push(`${data.file ?? ""} ${data.name}: ${String(data.skip)}`);
      else if (data.todo !== undefined && data.todo !== false) counts.skipped.push(`${data.file ?? ""} ${data.name}: to do`);
      else if (event.type === "test:pass") counts.passed += 1;
      else counts.failed += 1;
    }
    if (event.type === "test:fail" && event.data.details.type !== "suite") {
      const error = event.data.details.error;
      const cause: unknown = error.cause ?? error;
      process.stderr.write(`\nFAILED ${event.data.file ?? ""}: ${event.data.name}\n${cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)}\n`);
    }
    if (event.type === "test:stderr" || event.type === "test:stdout") process.stderr.write(event.data.message);
  }
  yield JSON.stringify(counts);
}

// oxlint-disable-next-line import/no-default-export -- node's test runner loads a reporter by its default export
export default countReporter;
