import assert from "node:assert/strict";
import { test } from "node:test";
import { createProgram } from "./index.ts";
import { FakeContext } from "./testing/fake-context.ts";

async function refusalOf(...args: readonly string[]): Promise<string> {
  const context = new FakeContext({ objects: { Namespace: [{ metadata: { name: "shop" } }] } });
  return await createProgram(context)
    .parseAsync(args, { from: "user" })
    .then(
      () => "",
      (error: unknown) => (error as Error).message,
    );
}

test("a namespace that does not exist, or whose name is invalid, is refused instead of shown as empty", async () => {
  assert.equal(await refusalOf("graph", "nosuch"), 'namespace "nosuch" not found');
  assert.equal(await refusalOf("graph", "shop,nosuch"), 'namespace "nosuch" not found');
  assert.equal(await refusalOf("top", "-n", "nosuch", "--once"), 'namespace "nosuch" not found');
  assert.equal(await refusalOf("bug-report", "--include", "shop,nosuch", "--dry-run"), 'namespace "nosuch" not found');
  const cannot = (flag: string, name: string): string =>
    `${flag}: "${name}" cannot be the name of a namespace: expected lower-case letters, digits and "-"`;
  assert.equal(await refusalOf("bug-report", "--include", "*((", "--dry-run"), cannot("--include", "*(("));
  assert.equal(await refusalOf("bug-report", "--exclude", "A", "--dry-run"), cannot("--exclude", "A"));
  assert.equal(
    await refusalOf("bug-report", "--tail", "x", "--dry-run"),
    '--tail: expected a number of lines, got "x"',
  );
});
