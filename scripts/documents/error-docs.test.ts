import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { errorsPage } from "../generate/error-docs.ts";

test("docs/errors.md has every code of the table, with its meaning and remedy", () => {
  assert.equal(
    readFileSync(join(import.meta.dirname, "../../docs/errors.md"), "utf8"),
    errorsPage(),
    "run node scripts/generate/error-docs.ts",
  );
});
