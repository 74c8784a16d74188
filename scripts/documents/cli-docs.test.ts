import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withVerbs } from "../generate/cli-docs.ts";

const page = readFileSync(join(import.meta.dirname, "../../docs/cli.md"), "utf8");

test("docs/cli.md lists all verbs and flags, and no others", async () => {
  assert.equal(page, await withVerbs(page), "run node scripts/generate/cli-docs.ts");
});

test("docs/cli.md lists the verbs and flags of cluster, release and doctor, which read their own arguments", () => {
  for (const text of [
    "--event-ttl",
    "serin cluster urls",
    "`release build <directory>`",
    "`--overlay`",
    "--kubernetes",
  ])
    assert.ok(page.includes(text), text);
});
