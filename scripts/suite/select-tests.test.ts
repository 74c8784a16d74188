import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ImportGraph, type SourceTree } from "./import-graph.ts";
import { checksTree, selectTests, type Selection } from "./select-tests.ts";

const texts: Readonly<Record<string, string>> = {
  "src/a/a.ts": "",
  "src/a/a.test.ts": 'import "./a.ts";\nreadFileSync(join(import.meta.dirname, "testing", name));\n',
  "src/a/testing/case.yaml": "",
  "src/a/unread.json": "",
  "src/b/b.test.ts": 'import "../a/a.ts";\n',
  "src/c/c.test.ts": "",
  "scripts/rules/tidy.test.ts": "",
  "generated/unread.bin": "",
  "docs/page.md": "",
};
const tests = Object.keys(texts).filter((file) => file.endsWith(".test.ts"));
const tree = { files: new Set(Object.keys(texts)), textOf: (file: string) => texts[file] };
const graphOf = ({ files, textOf }: SourceTree, changed: readonly string[]): ImportGraph =>
  new ImportGraph({ files: new Set([...files, ...changed]), textOf });
const select = (...changed: string[]): Selection => selectTests(tests, changed, graphOf(tree, changed));
const chosenBy = (...changed: string[]): string[] => [...select(...changed).chosen.keys()];

suite("the tests that a change can touch", () => {
  test("are those that load the file, each with the reason", () => {
    assert.deepEqual(
      [...select("src/a/a.ts").chosen],
      [
        ["src/a/a.test.ts", ["src/a/a.ts"]],
        ["src/b/b.test.ts", ["src/a/a.ts"]],
        ["scripts/rules/tidy.test.ts", [checksTree]],
      ],
    );
    assert.deepEqual(chosenBy("src/c/c.test.ts"), ["src/c/c.test.ts", "scripts/rules/tidy.test.ts"]);
  });

  test("include those that read its folder, and those that still name a deleted file", () => {
    assert.deepEqual(chosenBy("src/a/testing/new/other.yaml"), ["src/a/a.test.ts", "scripts/rules/tidy.test.ts"]);
    const before = { ...tree, textOf: (file: string) => (file === "src/c/c.test.ts" ? '"./gone.json"' : texts[file]) };
    assert.deepEqual(
      [...selectTests(tests, ["src/c/gone.json"], graphOf(before, ["src/c/gone.json"])).chosen.keys()],
      ["src/c/c.test.ts", "scripts/rules/tidy.test.ts"],
    );
  });

  test("are, for data that no test is known to read, the tests beside it, or all if parts share it", () => {
    assert.deepEqual(chosenBy("src/a/unread.json"), ["src/a/a.test.ts", "scripts/rules/tidy.test.ts"]);
    assert.deepEqual(chosenBy("generated/unread.bin"), tests);
    assert.deepEqual(chosenBy("package-lock.json"), tests);
  });

  test("are, for a document, only the tests of the whole tree, and none without a change", () => {
    assert.deepEqual(chosenBy("docs/page.md"), ["scripts/rules/tidy.test.ts"]);
    assert.deepEqual(select("docs/page.md").untested, ["docs/page.md"]);
    assert.deepEqual(chosenBy(), []);
  });
});
