import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { benchOptions } from "./bench-options.ts";

/**
 * The benches that parse their own arguments, because they have positional arguments, options that they pass to another
 * program, or a switch that is on by default.
 */
const ownParsers = ["bench/controlplane/growth.ts", "bench/paired.ts", "bench/ztunnel.ts"];
const root = join(import.meta.dirname, "../..");

test("options have the types of their defaults", () => {
  const defaults = { seconds: 2, profile: "", json: false };
  assert.deepEqual(benchOptions("node bench/a.ts", defaults, []), defaults);
  assert.deepEqual(benchOptions("node bench/a.ts", defaults, ["--seconds=0.5", "--profile", "x", "--json"]), {
    seconds: 0.5,
    profile: "x",
    json: true,
  });
});

test("every bench parses its options with this module, except those with a reason", () => {
  const own = globSync("bench/**/*.ts", { cwd: root })
    .filter((file) => /\bparseArgs\(|args\.(indexOf|includes)\("?--/.test(readFileSync(join(root, file), "utf8")))
    .sort();
  assert.deepEqual(own, ownParsers);
});

for (const [args, expected] of [
  [
    ["--no-such"],
    /^Unknown option '--no-such'\n\nusage: npm run bench:cli -- \[OPTIONS\]\n {2}--rounds VALUE {2}\(default: 10\)\n/,
  ],
  [["--rounds", "many"], /^--rounds must be a number above 0, got "many"\n$/],
  [["--rounds", "3x"], /^--rounds must be a number above 0, got "3x"\n$/],
  [["--rounds", "0"], /^--rounds must be a number above 0, got "0"\n$/],
] as const)
  test(`a bench that gets ${args.join(" ")} names the fault, and measures nothing`, () => {
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "bench/cli.ts", ...args],
      { cwd: root, encoding: "utf8" },
    );
    assert.equal(status, 2);
    assert.equal(stdout, "");
    assert.match(stderr, expected);
  });
