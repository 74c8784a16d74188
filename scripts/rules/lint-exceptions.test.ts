import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";

interface Override {
  readonly files: readonly string[];
  readonly rules: Readonly<Record<string, unknown>>;
}

interface Configuration {
  readonly rules: Readonly<Record<string, unknown>>;
  readonly overrides: readonly Override[];
}

interface Report {
  readonly diagnostics: readonly { readonly code: string; readonly filename: string }[];
}

const root = join(import.meta.dirname, "../..");
/** The limits from which some single files are exempt. */
const limits = ["max-lines-per-function", "max-params"];
const configuration = JSON.parse(readFileSync(join(root, ".oxlintrc.json"), "utf8")) as Configuration;

/** The files that exceed a limit if no file is exempt, as `rule file`. */
function excesses(files: readonly string[]): ReadonlySet<string> {
  const directory = mkdtempSync(join(tmpdir(), "serin-lint-"));
  try {
    const config = join(directory, "oxlintrc.json");
    const rules = Object.fromEntries(limits.map((limit) => [limit, configuration.rules[limit]]));
    writeFileSync(config, JSON.stringify({ categories: { correctness: "off" }, rules }));
    const { stdout, error } = spawnSync(
      join(root, "node_modules/.bin/oxlint"),
      ["-c", config, "-f", "json", ...files],
      {
        cwd: root,
        encoding: "utf8",
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    if (error !== undefined) throw error;
    const { diagnostics } = JSON.parse(stdout) as Report;
    return new Set(diagnostics.map(({ code, filename }) => `${/\(([^)]+)\)/.exec(code)?.[1] ?? code} ${filename}`));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

suite("exceptions from the limits of functions", () => {
  test("each file that is exempt from a limit still exceeds it", () => {
    const exempt = configuration.overrides.flatMap(({ files, rules }) =>
      limits
        .filter((limit) => rules[limit] === "off")
        .flatMap((limit) => files.filter((file) => !file.includes("*")).map((file) => ({ limit, file }))),
    );
    assert.notEqual(exempt.length, 0);
    const found = excesses([...new Set(exempt.map(({ file }) => file))]);
    assert.deepEqual(
      exempt.filter(({ limit, file }) => !found.has(`${limit} ${file}`)),
      [],
      "remove these files from the overrides of .oxlintrc.json",
    );
  });
});
