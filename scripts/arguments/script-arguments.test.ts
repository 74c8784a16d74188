import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { scriptArguments, usageText } from "./script-arguments.ts";

const usage = { command: "npm run image --", help: { arch: "architectures, separated by commas", json: "print JSON" } };
const options = { arch: { type: "string", default: "amd64" }, json: { type: "boolean", default: false } } as const;

test("options have their defaults, and the usage names each of them", () => {
  assert.deepEqual({ ...scriptArguments(usage, options, ["--json"]).values }, { arch: "amd64", json: true });
  assert.equal(
    usageText(usage, options),
    [
      "usage: npm run image -- [OPTIONS]",
      "  --arch VALUE  architectures, separated by commas (default: amd64)",
      "  --json        print JSON",
      "",
    ].join("\n"),
  );
});

for (const [args, status, expected] of [
  [["--help"], 0, /^usage: npm run fuzz -- \[OPTIONS\] \[TARGET …\]\n {2}--minutes VALUE/],
  [["--minuts", "3"], 2, /^Unknown option '--minuts'\n\nusage: npm run fuzz --/],
] as const)
  test(`a script that gets ${args.join(" ")} ends with ${status} and shows its usage without a stack`, () => {
    const { stdout, stderr, ...ended } = spawnSync(
      process.execPath,
      ["--disable-warning=ExperimentalWarning", "scripts/fuzz.ts", ...args],
      { encoding: "utf8" },
    );
    assert.equal(ended.status, status);
    assert.match(stdout + stderr, expected);
    assert.doesNotMatch(stderr, /\n {4}at /);
  });
