import assert from "node:assert/strict";
import { test } from "node:test";
import { compileCacheDirectory } from "./index.ts";

test("the lab caches compiled sources in a directory below the program's cache", () => {
  const env = { HOME: "/home/me", NODE_COMPILE_CACHE: "/var/cache/compiled" };
  assert.equal(compileCacheDirectory(env), "/var/cache/compiled/lab");
});

test("without an absolute cache directory of the program, the lab uses its state directory", () => {
  for (const NODE_COMPILE_CACHE of [undefined, "", "here"])
    assert.equal(
      compileCacheDirectory({ HOME: "/home/me", NODE_COMPILE_CACHE }),
      "/home/me/.local/state/serin/compile-cache",
    );
});
