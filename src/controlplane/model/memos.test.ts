import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const controlPlane = join(import.meta.dirname, "..");

/** These WeakMaps are not caches: they hold the followers of a collection or view. */
const notMemos = ["serve/address-demand.ts indexes", "serve/resource-views/resource-view.ts followedCollections"];

test("functions of the control plane cache by object only in memos, whose sizes the graph shows", () => {
  const found = globSync("{model,serve,translate}/**/*.ts", { cwd: controlPlane })
    .filter((file) => !file.endsWith(".test.ts"))
    .flatMap((file) =>
      [
        ...readFileSync(join(controlPlane, file), "utf8").matchAll(/^(?:export )?const (\w+)[^;]*?\bnew WeakMap\b/gm),
      ].map(([, name]) => `${file} ${name}`),
    );
  assert.deepEqual(found.sort(), notMemos);
});
