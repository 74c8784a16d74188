import assert from "node:assert/strict";
import { test } from "node:test";
import { parseOptions } from "./options.ts";

const plain = {
  help: false,
  group: undefined,
  once: false,
  list: false,
  smoke: false,
  record: false,
  changed: undefined,
  lanes: undefined,
  files: [],
};

test("without options everything runs", () => {
  assert.deepEqual(parseOptions([]), plain);
});

test("--changed accepts a revision, but neither a file nor an option instead", () => {
  assert.deepEqual(parseOptions(["--only", "unit", "--changed", "main"]), {
    ...plain,
    group: "unit",
    changed: { since: "main" },
  });
  assert.deepEqual(parseOptions(["--changed=HEAD~1", "--once"]), {
    ...plain,
    once: true,
    changed: { since: "HEAD~1" },
  });
  assert.deepEqual(parseOptions(["--changed", "--list"]), { ...plain, list: true, changed: { since: undefined } });
  assert.deepEqual(parseOptions(["--changed", "src/a.test.ts"]), {
    ...plain,
    changed: { since: undefined },
    files: ["src/a.test.ts"],
  });
});

test("an unknown option is refused", () => {
  assert.throws(
    () => parseOptions(["--only", "fast"]),
    /--only fast: expected one of check, unit, netns, e2e, interop/,
  );
  assert.throws(() => parseOptions(["--lanes", "no"]), /--lanes no: expected a number from 1/);
  assert.throws(() => parseOptions(["--smoke", "--changed"]), /--smoke and --changed exclude each other/);
  assert.throws(() => parseOptions(["--quick"]), /--quick: no such option/);
});
