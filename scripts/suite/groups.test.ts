import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenFiles, type Group } from "./groups.ts";

const files = new Map<Group, readonly string[]>([
  ["unit", ["src/base/clock.test.ts", "src/base/queue.test.ts", "src/baseline/one.test.ts"]],
  ["e2e", ["test/e2e/demo.test.ts"]],
]);

test("a file and a folder choose tests, and no name chooses all", () => {
  assert.deepEqual(
    [...chosenFiles(files, ["src/base/", "test/e2e/demo.test.ts"])],
    [
      ["unit", ["src/base/clock.test.ts", "src/base/queue.test.ts"]],
      ["e2e", ["test/e2e/demo.test.ts"]],
    ],
  );
  assert.deepEqual([...chosenFiles(files, [])], [...files]);
});

test("a name that chooses no test file is an error that names it", () => {
  assert.throws(() => chosenFiles(files, ["src/base", "src/bas", "test/interop"]), {
    message: /^src\/bas, test\/interop: expected a test file or a folder of test files of the groups unit, e2e,/,
  });
});
