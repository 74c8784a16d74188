import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withVerbs } from "./generate-cli-docs.ts";

test("docs/cli.md lists all verbs and flags, and no others", async () => {
  const page = readFileSync(join(import.meta.dirname, "../docs/cli.md"), "utf8");
  assert.equal(page, await withVerbs(page), "run node scripts/generate-cli-docs.ts");
});
