import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import { silentLogger, systemClock } from "../../../base/index.ts";
import { requireOwnNetwork } from "../../../net/testing/index.ts";
import type { LabRelease } from "../../images/index.ts";
import { CompiledCode } from "./compiled-code.ts";

requireOwnNetwork();

const scratch = mkdtempSync(join(tmpdir(), "serin-compiled-"));
after(() => rmSync(scratch, { recursive: true }));

/** Writes a release whose modules write a note if they are run. */
function writeRelease(): LabRelease {
  const root = join(scratch, "release");
  const noisy = 'import { writeFileSync } from "node:fs"; writeFileSync("/var/cache/serin/ran", "");';
  for (const [name, text] of Object.entries({
    "package.json": "{}",
    "dist/cmd/main.js": `import "../chunks/a-1.js"; ${noisy}`,
    "dist/chunks/a-1.js": noisy,
    "dist/chunks/rollout-2.js": noisy,
    "dist/worker/b.worker.js": noisy,
    "samples/web/web.ts": `${noisy} const port: number = 1; export { port };`,
  })) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return { root, version: "1", nodeModules: dirname(dirname(dirname(process.execPath))) };
}

function compiledCode(): CompiledCode {
  return new CompiledCode({
    directory: join(scratch, "cache"),
    workDirectory: scratch,
    ownRoot: "/elsewhere",
    ownProgram: "dist",
    clock: systemClock,
    log: silentLogger,
  });
}

test("a release is compiled once without running, for each set of V8's flags, and every user can read it", async () => {
  const release = writeRelease();
  const code = compiledCode();
  const directory = code.directoryFor(release, 0);
  assert.equal(directory, join(scratch, "cache/pods"));
  await code.filled;
  const folders = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const counts = folders.map(({ name }) => readdirSync(join(directory, name)).length);
  const least = Math.min(...counts);
  assert.deepEqual(
    counts.map((count) => count - least).toSorted((a, b) => a - b),
    [0, 1, 2],
    "the main module alone with the dashboard's flags, one more with the rollout engine's, and all",
  );
  for (const { name } of folders)
    for (const file of readdirSync(join(directory, name)))
      assert.equal(statSync(join(directory, name, file)).mode & 0o777, 0o644);
  assert.equal(readdirSync(directory).includes("ran"), false);
  const marks = readdirSync(directory).filter((name) => name.endsWith(".done"));
  const [mark = ""] = marks;
  assert.equal(marks.length, 1);
  const { mtimeMs } = statSync(join(directory, mark));
  const second = compiledCode();
  second.directoryFor(release, 1337);
  await second.filled;
  assert.equal(statSync(join(directory, mark)).mtimeMs, mtimeMs);
  const links = readdirSync(directory).filter((name) => name.endsWith("-1337"));
  assert.equal(links.length, folders.length);
});

test("a release is compiled again if its program differs, although its files have the same time and a run was killed", async () => {
  const release = writeRelease();
  const directory = join(scratch, "cache/pods");
  const marksOf = (kind: string): string[] => readdirSync(directory).filter((name) => name.endsWith(kind));
  const fill = async (program: string, version = "1.0.0"): Promise<void> => {
    writeFileSync(join(release.root, "package.json"), JSON.stringify({ version }));
    writeFileSync(join(release.root, "dist/cmd/main.js"), program);
    utimesSync(join(release.root, "dist/cmd/main.js"), 1e9, 1e9);
    const code = compiledCode();
    code.directoryFor(release, 0);
    await code.filled;
  };
  for (const name of marksOf(".done")) utimesSync(join(directory, name), 1e9, 1e9);
  const [former = ""] = marksOf(".done");
  await fill("1;");
  const [first = ""] = marksOf(".done");
  assert.deepEqual([marksOf(".done").includes(former), marksOf(".done").length, marksOf(".lock")], [false, 1, []]);
  rmSync(join(directory, first));
  writeFileSync(join(directory, first.replace(".done", ".lock")), "");
  await fill("1;");
  await fill("2;");
  assert.deepEqual([marksOf(".done").includes(first), marksOf(".done").length, marksOf(".lock")], [true, 2, []]);
  await fill("2;", "1.0.1");
  assert.equal(marksOf(".done").length, 2, "another version of the same program");
});

test("a container starts although the code of its release cannot be compiled", async () => {
  const release = writeRelease();
  const code = compiledCode();
  const directory = join(scratch, "cache/pods");
  for (const name of readdirSync(directory).filter((entry) => entry.endsWith(".done"))) {
    rmSync(join(directory, name));
    mkdirSync(join(directory, name.replace(".done", ".lock")));
  }
  writeFileSync(join(release.root, "dist/cmd/main.js"), "2;");
  assert.equal(code.directoryFor(release, 0), directory);
  await code.filled;
  assert.equal(readdirSync(directory).filter((name) => name.endsWith(".done")).length, 0);
});
