import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { sourcesToLint } from "./sources-to-lint.ts";

const tree = new Set(["src/a.ts", "src/b.ts", "docs/page.md", "package.json"]);
const importers: Readonly<Record<string, readonly string[]>> = {
  "src/a.ts": ["src/b.ts"],
  "src/gone.ts": ["src/b.ts"],
};
const importersOf = (files: ReadonlySet<string>): string[] => [...files].flatMap((file) => importers[file] ?? []);
const lint = (...changed: string[]): readonly string[] | undefined => sourcesToLint(changed, tree, importersOf);

suite("the sources to lint after a change", () => {
  test("are the changed ones and those that import them", () => {
    assert.deepEqual(lint("src/a.ts", "docs/page.md"), ["src/a.ts", "src/b.ts"]);
    assert.deepEqual(lint("src/b.ts"), ["src/b.ts"]);
  });

  test("are, for a deleted source, those that still import it", () => {
    assert.deepEqual(lint("src/gone.ts"), ["src/b.ts"]);
  });

  test("are none if no source changed, and all if the rules, the types' options or a package changed", () => {
    assert.deepEqual(lint("docs/page.md"), []);
    for (const file of [".oxlintrc.json", "tsconfig.json", "src/dashboard/web/tsconfig.json", "package.json"])
      assert.equal(lint("src/a.ts", file), undefined, file);
  });

  test("are all if a change touches so many that choosing saves nothing", () => {
    const many = Array.from({ length: 401 }, (_, at) => `src/many-${at}.ts`);
    assert.equal(
      sourcesToLint(["src/a.ts"], new Set([...tree, ...many]), () => many),
      undefined,
    );
  });
});
