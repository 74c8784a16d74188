// Checks which program bin/serin runs in a checkout: a bundle of exactly these sources, or the sources themselves.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { after, afterEach, beforeEach, test } from "node:test";

const checkout = join(import.meta.dirname, "../..");
const base = mkdtempSync(join(tmpdir(), "serin-checkout-"));
/** All tests have their checkout at the same path, so that Node.js compiles the program once. */
const root = join(base, "checkout");
const compiled = join(base, "compiled");

/** A program that prints where it runs, and makes a "bundle" when it is called with that verb. */
const program = `
  import { appendFileSync, copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
  import { join } from "node:path";
  const root: string = process.env.TREE;
  const [verb, key = ""] = process.argv.slice(2);
  if (verb === "bundle") {
    const bundle = join(root, ".bundles", key);
    if (existsSync(bundle)) process.exit(0);
    appendFileSync(join(root, "made"), key + "\\n");
    if (existsSync(join(root, "broken"))) {
      writeFileSync(bundle + ".failed", "broken");
      process.exit(1);
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    mkdirSync(join(bundle, "cmd"), { recursive: true });
    writeFileSync(join(bundle, "cmd/main.js"), 'console.log("bundle", process.argv.slice(2).join(" "))');
  } else console.log("sources", process.argv.slice(2).join(" "));
`;

beforeEach(() => {
  for (const folder of ["bin", "src/cmd", "generated", "node_modules/esbuild"])
    mkdirSync(join(root, folder), { recursive: true });
  cpSync(join(checkout, "bin/serin"), join(root, "bin/serin"));
  const node = `node-linux-${process.arch}`;
  symlinkSync(join(checkout, "node_modules", node), join(root, "node_modules", node));
  writeFileSync(join(root, "src/cmd/main.ts"), program);
  for (const file of ["package.json", "package-lock.json"]) writeFileSync(join(root, file), '{"type":"module"}');
});
afterEach(() => rmSync(root, { recursive: true, force: true }));
after(() => rmSync(base, { recursive: true, force: true }));

async function run(env: NodeJS.ProcessEnv = {}, args: readonly string[] = ["ztunnel", "a b"]): Promise<string> {
  return await runAs([join(root, "bin/serin"), ...args], env);
}

async function runAs([program = "", ...args]: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
  const child = spawn(program, args, {
    cwd: root,
    env: { PATH: process.env["PATH"], HOME: root, TREE: root, NODE_COMPILE_CACHE: compiled, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return out + errors;
}

const made = (): number => readFileSync(join(root, "made"), "utf8").trim().split("\n").length;
const [fromBundle, fromSources] = ["bundle ztunnel a b\n", "sources ztunnel a b\n"];

test("one of several processes that start at once builds the bundle, and all run from it", async () => {
  assert.deepEqual(await Promise.all([run(), run(), run()]), [fromBundle, fromBundle, fromBundle]);
  assert.equal(await run(), fromBundle);
  assert.equal(made(), 1);
});

test("a changed, a new and a renamed source, and other packages, each give a new bundle", async () => {
  const changes = [
    () => appendFileSync(join(root, "src/cmd/main.ts"), "// changed\n"),
    () => writeFileSync(join(root, "src/new.ts"), ""),
    () => renameSync(join(root, "src/new.ts"), join(root, "src/renamed.ts")),
    () => writeFileSync(join(root, "generated/known.json"), "{}"),
    () => appendFileSync(join(root, "package-lock.json"), " "),
  ];
  await run();
  for (const [index, change] of changes.entries()) {
    change();
    assert.equal(await run(), fromBundle);
    assert.equal(made(), index + 2);
  }
});

test("a deleted source selects the bundle that was built without it", async () => {
  await run();
  writeFileSync(join(root, "src/new.ts"), "");
  await run();
  rmSync(join(root, "src/new.ts"));
  assert.equal(await run(), fromBundle);
  assert.equal(made(), 2);
});

test("a source that was rewritten with the same size and time selects a new bundle", async () => {
  await run();
  const path = join(root, "src/cmd/main.ts");
  cpSync(path, join(root, "copy"), { preserveTimestamps: true });
  writeFileSync(path, program);
  cpSync(join(root, "copy"), path, { preserveTimestamps: true });
  await run();
  assert.equal(made(), 2);
});

test("a changed test needs no new bundle", async () => {
  await run();
  writeFileSync(join(root, "src/cmd/main.test.ts"), "");
  await run();
  assert.equal(made(), 1);
});

test("the sources run if a bundle cannot be built, and the build is not repeated", async () => {
  writeFileSync(join(root, "broken"), "");
  assert.equal(await run(), fromSources);
  assert.equal(await run(), fromSources);
  assert.equal(made(), 1);
});

test("SERIN_BUNDLE names the bundle that runs, whatever has changed, and an unknown name has no effect", async () => {
  await run();
  const [key = ""] = readdirSync(join(root, ".bundles"));
  appendFileSync(join(root, "src/cmd/main.ts"), "// changed\n");
  assert.equal(await run({ SERIN_BUNDLE: key }), fromBundle);
  assert.equal(made(), 1);
  assert.equal(await run({ SERIN_BUNDLE: "removed" }), fromBundle);
  assert.equal(made(), 2);
});

test("the sources run without a bundler, and with SERIN_FROM_SOURCE", async () => {
  assert.equal(await run({ SERIN_FROM_SOURCE: "1" }), fromSources);
  rmSync(join(root, "node_modules/esbuild"), { recursive: true });
  assert.equal(await run(), fromSources);
});

test("the sources run if no file can be written", async () => {
  writeFileSync(join(root, ".bundles"), "");
  assert.equal(await run(), fromSources);
});

test("the sources of a release tree run directly, because it has no lock file and uses the checkout's packages", async () => {
  rmSync(join(root, "package-lock.json"));
  assert.equal(await run(), fromSources);
});

test("a link to the program or to its folder, a relative path and a shell without a path lead to the same tree", async () => {
  const sources = { SERIN_FROM_SOURCE: "1" };
  const elsewhere = join(root, "elsewhere");
  mkdirSync(elsewhere);
  symlinkSync("../bin/serin", join(elsewhere, "serin"));
  symlinkSync("../bin", join(elsewhere, "bin"));
  for (const words of [
    [join(elsewhere, "serin")],
    [join(elsewhere, "bin/serin")],
    ["bin/serin"],
    ["elsewhere/bin/serin"],
    ["sh", "-c", 'cd bin && sh serin "$@"', "sh"],
    ["sh", "-c", 'cd elsewhere && CDPATH=/usr sh serin "$@"', "sh"],
  ])
    assert.equal(await runAs([...words, "ztunnel", "a b"], sources), fromSources, words.join(" "));
});

test("an installed package runs its compiled files", async () => {
  rmSync(join(root, "src"), { recursive: true });
  mkdirSync(join(root, "dist/cmd"), { recursive: true });
  writeFileSync(join(root, "dist/cmd/main.js"), 'console.log("dist")');
  assert.equal(await run(), "dist\n");
});

test("data planes, like processes with large responses, return freed memory to the system, unless the environment says otherwise", async () => {
  writeFileSync(
    join(root, "src/cmd/main.ts"),
    "console.log(process.env.MALLOC_ARENA_MAX, process.env.MALLOC_MMAP_THRESHOLD_, process.env.MALLOC_TRIM_THRESHOLD_);",
  );
  const sources = { SERIN_FROM_SOURCE: "1" };
  for (const args of [["proxy", "router"], ["ztunnel"], ["pilot"]])
    assert.equal(await run(sources, args), "2 32768 131072\n");
  assert.equal(await run({ ...sources, MALLOC_MMAP_THRESHOLD_: "65536" }, ["proxy", "router"]), "2 65536 131072\n");
  assert.equal(await run(sources, ["operator"]), "2 undefined undefined\n");
});
