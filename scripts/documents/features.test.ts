import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { featuresPage } from "../generate/features.ts";

test("docs/features.md equals the page that the tables generate", () => {
  assert.equal(
    readFileSync(join(import.meta.dirname, "../../docs/features.md"), "utf8"),
    featuresPage(),
    "run node scripts/generate/features.ts",
  );
});
