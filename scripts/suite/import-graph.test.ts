import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { ImportGraph } from "./import-graph.ts";

function graphOf(texts: Readonly<Record<string, string>>): ImportGraph {
  return new ImportGraph({ files: new Set(Object.keys(texts)), textOf: (file) => texts[file] });
}

function filesOf(texts: Readonly<Record<string, string>>, start: string, withProgram = true): string[] {
  return [...graphOf(texts).allNeedsOf(start, withProgram).files].toSorted();
}

suite("what a source needs", () => {
  test("it needs its static and dynamic imports, and theirs", () => {
    const texts = {
      "src/a/a.test.ts": 'import {\n  one,\n  two as second,\n} from "./a.ts";\nimport * as b from "../b/b.ts";\n',
      "src/a/a.ts": 'export const one = async () => await import("./late.ts");\nexport const two = 2;\n',
      "src/a/late.ts": 'import "./effect.ts";\n',
      "src/a/effect.ts": "",
      "src/b/b.ts": "",
      "src/b/other.ts": "",
    };
    assert.deepEqual(filesOf(texts, "src/a/a.test.ts"), [
      "src/a/a.test.ts",
      "src/a/a.ts",
      "src/a/effect.ts",
      "src/a/late.ts",
      "src/b/b.ts",
    ]);
  });

  test("imports of types are erased", () => {
    const texts = {
      "src/a.ts":
        'import type { A } from "./types.ts";\nimport type * as Types from "./types.ts";\nimport { type B } from "./door/index.ts";\nexport type { C } from "./types.ts";\n',
      "src/types.ts": "",
      "src/door/index.ts": 'export { b, type B } from "./b.ts";\n',
      "src/door/b.ts": "",
    };
    assert.deepEqual(filesOf(texts, "src/a.ts"), ["src/a.ts", "src/door/index.ts"]);
  });

  test("through a door it needs only the files of the names that it imports", () => {
    const texts = {
      "src/a.ts": 'import { one, two } from "./door/index.ts";\nconst { late } = await import("./door/index.ts");\n',
      "src/door/index.ts":
        '// One thing each.\nexport { first as one, unused } from "./one.ts";\nexport * from "./inner/index.ts";\nexport { three } from "./three.ts";\n',
      "src/door/one.ts": "export const first = 1;\nexport const unused = 2;\n",
      "src/door/three.ts": "export const three = 3;\n",
      "src/door/inner/index.ts": 'export * from "./two.ts";\nexport * from "./late.ts";\n',
      "src/door/inner/two.ts": "export function two() {}\n",
      "src/door/inner/late.ts": "export const late = 1;\n",
    };
    assert.deepEqual(filesOf(texts, "src/a.ts"), [
      "src/a.ts",
      "src/door/index.ts",
      "src/door/inner/late.ts",
      "src/door/inner/two.ts",
      "src/door/one.ts",
    ]);
  });

  test("a door with side effects is loaded whole, and so is one without the imported name", () => {
    const texts = {
      "src/a.ts": 'import { one } from "./busy/index.ts";\nimport { unknown } from "./door/index.ts";\n',
      "src/busy/index.ts": 'export { one } from "./one.ts";\nexport { two } from "./two.ts";\nstart();\n',
      "src/busy/one.ts": "export const one = 1;\n",
      "src/busy/two.ts": "export const two = 2;\n",
      "src/door/index.ts": 'export * from "./three.ts";\n',
      "src/door/three.ts": "const unknown = 3;\nexport default unknown;\n",
    };
    assert.deepEqual(filesOf(texts, "src/a.ts").length, 6);
  });

  test("it needs the files that its strings name, from its folder and from the root", () => {
    const texts = {
      "src/a/a.test.ts":
        'const one = new URL("golden/shop.yaml", import.meta.url);\nconst worker = "./thread.worker.ts";\n// See "docs/b.md".\n' +
        'const page = join(root, "docs/cli.md");\nconst command = `node ${root}/scripts/tool.ts --fast`;\nconst code = import.meta.resolve("#generated/x.br");\n',
      "src/a/golden/shop.yaml": "",
      "src/a/thread.worker.ts": 'import "./behind.ts";\n',
      "src/a/behind.ts": "",
      "docs/cli.md": "",
      "docs/b.md": "",
      "scripts/tool.ts": "",
      "generated/x.br": "",
    };
    assert.deepEqual(
      filesOf(texts, "src/a/a.test.ts"),
      Object.keys(texts)
        .filter((file) => file !== "docs/b.md")
        .toSorted(),
    );
  });

  test("it needs the folders that its strings name, with a placeholder or a wildcard too", () => {
    const texts = {
      "src/a/a.test.ts":
        'join(import.meta.dirname, "testing", name);\nreadFileSync(`../../manifests/${group}/${name}.yaml`);\nglobSync("samples/**/*.yaml");\nglobSync("test/**/*.yaml");\n`scripts/${name}.ts`;\n',
      "src/a/testing/one.json": "",
      "manifests/crds/one.yaml": "",
      "samples/app/one.yaml": "",
      "samples/app/one.ts": "",
      "test/lab/one.yaml": "",
      "scripts/one.ts": "",
      "scripts/deep/two.ts": "",
    };
    const { files, folders } = graphOf(texts).allNeedsOf("src/a/a.test.ts");
    assert.deepEqual([...folders].toSorted(), ["manifests", "src/a/testing"]);
    assert.deepEqual([...files].toSorted(), [
      "samples/app/one.yaml",
      "scripts/one.ts",
      "src/a/a.test.ts",
      "test/lab/one.yaml",
    ]);
  });

  test("a test that starts the program needs all of its roles, but product code that names it does not", () => {
    const texts = {
      "test/e2e/lab.test.ts": 'spawn(join(root, "bin/serin"), ["cluster"]);\n',
      "bin/serin": "#!/bin/sh\n",
      "src/cmd/main.ts": 'const roles = { cluster: () => import("./cluster.ts") };\n',
      "src/cmd/cluster.ts": 'const program = join(release.root, "bin/serin");\n',
      "manifests/images.yaml": "",
    };
    assert.deepEqual(filesOf(texts, "test/e2e/lab.test.ts"), [
      "bin/serin",
      "src/cmd/cluster.ts",
      "src/cmd/main.ts",
      "test/e2e/lab.test.ts",
    ]);
    assert.deepEqual([...graphOf(texts).allNeedsOf("test/e2e/lab.test.ts").folders], ["generated", "manifests"]);
    assert.deepEqual(filesOf(texts, "test/e2e/lab.test.ts", false), ["bin/serin", "test/e2e/lab.test.ts"]);
    assert.deepEqual(filesOf(texts, "src/cmd/cluster.ts"), ["src/cmd/cluster.ts"]);
  });

  test("its importers load it directly, or by the door that names it", () => {
    const texts = {
      "src/part/index.ts": 'export { a } from "./a.ts";\nexport { b } from "./b.ts";\n',
      "src/part/a.ts": "export const a = 1;\n",
      "src/part/b.ts": "export const b = 1;\n",
      "src/by-door.ts": 'import { a } from "./part/index.ts";\n',
      "src/other.ts": 'import { b } from "./part/index.ts";\n',
      "src/typed.ts": 'import type { A } from "./part/a.ts";\n',
      "src/indirect.ts": 'import "./by-door.ts";\n',
    };
    assert.deepEqual(graphOf(texts).importersOf(new Set(["src/part/a.ts"])), ["src/part/index.ts", "src/by-door.ts"]);
  });
});
