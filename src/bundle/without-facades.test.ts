import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutFacades } from "./without-facades.ts";

test("imports of Node's own modules become calls before all other code, and every line stays where it is", () => {
  const text = [
    'import { isIP } from "node:net?marked";',
    "import {",
    "  join as join2,",
    "  sep",
    '} from "node:path?marked";',
    'import * as os from "node:os?marked";',
    "// src/a.ts",
    "first(join2);",
    'import process2 from "node:process?marked";',
    'import { later } from "./later.js";',
    'import all, { parse } from "node:querystring?marked";',
    "const program = `",
    'import { x } from "node:fs";',
    "`;",
  ];
  const calls = [
    'const { isIP } = globalThis.process.getBuiltinModule("node:net");',
    'const { join: join2, sep } = globalThis.process.getBuiltinModule("node:path");',
    'const os = globalThis.process.getBuiltinModule("node:os");',
    'const process2 = globalThis.process.getBuiltinModule("node:process");',
  ];
  const [comment, use, , chunk, , ...program] = text.slice(6);
  const both = 'import all, { parse } from "node:querystring";';
  const expected = [`${calls.join(" ")} `, "", "", "", "", "", comment, use, "", chunk, both, ...program];
  assert.equal(withoutFacades(text.join("\n")), expected.join("\n"));
});

test("a module without such imports stays as it is", () => {
  assert.equal(withoutFacades('import "./a.js";\nrun();\n'), 'import "./a.js";\nrun();\n');
});
