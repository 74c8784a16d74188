import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { defaultHub } from "./default-hub.ts";

const sources = join(import.meta.dirname, "../..");

test("only the source of the default hub names a hub of Serin's or Istio's", () => {
  const naming = globSync("**/*.ts", { cwd: sources })
    .filter((file) => !file.endsWith(".test.ts") && !file.includes("/testing/"))
    .filter(
      (file) =>
        /(?:docker\.io|gcr\.io\/istio-release|quay\.io)\/istio\b/.test(text(file)) || text(file).includes(defaultHub),
    );
  assert.deepEqual(naming, ["api/images/default-hub.ts"]);
});

function text(file: string): string {
  return readFileSync(join(sources, file), "utf8");
}
