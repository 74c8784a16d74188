import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { describeCircle, folderCircles } from "./folder-circles.ts";

function found(texts: Readonly<Record<string, string>>): string[] {
  return folderCircles(new Map(Object.entries(texts))).map((circle) => describeCircle(circle));
}

suite("folders that import each other", () => {
  test("two folders form a circle even if no two of their files do", () => {
    const circles = found({
      "src/part/a/one.ts": '// First.\nimport { two } from "../b/two.ts";\n',
      "src/part/a/three.ts": "export const three = 3;\n",
      "src/part/b/two.ts": "export const two = 2;\n",
      "src/part/b/deep/four.ts": 'import {\n  three,\n} from "../../a/three.ts";\n',
    });
    assert.deepEqual(circles, [
      "src/part: a -> b -> a\n  src/part/a/one.ts:2 imports src/part/b/two.ts\n  src/part/b/deep/four.ts:3 imports src/part/a/three.ts",
    ]);
  });

  test("a circle may lead through a file beside the folders, and the report names the folders in it", () => {
    const [circle = ""] = found({
      "src/part/a/one.ts": 'import { loose } from "../loose.ts";\n',
      "src/part/a/other.ts": 'import { long } from "../c/long.ts";\n',
      "src/part/loose.ts": 'export { two } from "./b/two.ts";\n',
      "src/part/b/two.ts": 'const late = await import("../a/late.ts");\n',
      "src/part/a/late.ts": "",
      "src/part/c/long.ts": 'import "../d/longer.ts";\n',
      "src/part/d/longer.ts": 'import "../loose.ts";\n',
    });
    assert.match(circle, /^src\/part: a -> loose\.ts -> b -> a\n/);
    assert.match(circle, /\n {2}in circles with them: c, d$/);
  });

  test("imports of types count", () => {
    const texts = {
      "src/a/one.ts": 'import type { Two } from "../b/two.ts";\n',
      "src/b/two.ts": 'export type { One } from "../a/three.ts";\n',
      "src/a/three.ts": "",
    };
    assert.equal(found(texts).length, 1);
  });

  test("a folder's circle is reported once, and not again for the folders above it", () => {
    const texts = {
      "src/part/inner/a/one.ts": 'import "../b/two.ts";\n',
      "src/part/inner/b/two.ts": 'import "../a/three.ts";\n',
      "src/part/inner/a/three.ts": "",
    };
    assert.deepEqual(
      folderCircles(new Map(Object.entries(texts))).map(({ folder }) => folder),
      ["src/part/inner"],
    );
  });

  test("a door that re-exports its folders forms no circle, unless one of them enters through it", () => {
    const texts = {
      "src/part/index.ts": 'export { one } from "./a/one.ts";\nexport { two } from "./b/two.ts";\n',
      "src/part/a/one.ts": "",
      "src/part/a/late.ts": "",
      "src/part/b/two.ts": 'import { one } from "../a/one.ts";\n',
    };
    assert.deepEqual(found(texts), []);
    assert.equal(found({ ...texts, "src/part/a/late.ts": 'import { two } from "../index.ts";\n' }).length, 1);
  });

  test("tests and their fakes may import anything", () => {
    const texts = {
      "src/part/a/one.ts": 'import "../b/two.ts";\n',
      "src/part/b/two.ts": "",
      "src/part/b/two.test.ts": 'import "../a/one.ts";\nimport "./testing/fake.ts";\n',
      "src/part/b/testing/fake.ts": 'import "../../a/one.ts";\n',
    };
    assert.deepEqual(found(texts), []);
  });
});
