import assert from "node:assert/strict";
import { test } from "node:test";
import { compileCacheDirectory } from "./index.ts";

test("the lab keeps compiled sources beside those of the program, in a directory of its own", () => {
  const env = { HOME: "/home/me", NODE_COMPILE_CACHE: "/var/cache/compiled" };
  assert.equal(compileCacheDirectory(env), "/var/cache/compiled/lab");
});

test("without an absolute directory for the program's, the lab keeps them with its state", () => {
  for (const NODE_COMPILE_CACHE of [undefined, "", "here"])
    assert.equal(
      compileCacheDirectory({ HOME: "/home/me", NODE_COMPILE_CACHE }),
      "/home/me/.local/state/serin/compile-cache",
    );
});
