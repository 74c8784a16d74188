import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { createProgram } from "./program.ts";
import { FakeContext } from "./testing/fake-context.ts";

async function script(shell: string): Promise<string> {
  const context = new FakeContext();
  await createProgram(context).parseAsync(["completion", shell]);
  return context.output;
}

function offered(bash: string, line: string): string[] {
  const words = line.split(" ");
  const quoted = words.map((word) => `"${word}"`).join(" ");
  const output = execFileSync(
    "bash",
    [
      "-c",
      `${bash}\nCOMP_WORDS=(${quoted}); COMP_CWORD=${words.length - 1}; _serin; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ],
    { encoding: "utf8" },
  );
  return output.split("\n").filter((word) => word !== "");
}

test("bash completes verbs, nested verbs under any name, and flags", async () => {
  const bash = await script("bash");
  assert.deepEqual(offered(bash, "serin zt"), ["ztunnel-config"]);
  assert.ok(offered(bash, "serin ztunnel-config ").includes("workload"));
  assert.deepEqual(
    offered(bash, "serin ztunnel-config ").filter((word) => word.startsWith("-")),
    [],
  );
  assert.deepEqual(offered(bash, "istioctl -n shop pc end"), ["endpoint"]);
  assert.deepEqual(offered(bash, "serin pc ep web-1.shop --clu"), ["--cluster"]);
  assert.deepEqual(offered(bash, "serin x describe po"), ["pod"]);
  assert.deepEqual(offered(bash, "serin cluster cr"), ["create"]);
  assert.deepEqual(offered(bash, "serin cluster create --"), ["--name", "--autoscale", "--help"]);
  assert.deepEqual(offered(bash, "serin ztunnel-config log --level debug --lo"), []);
});

test("bash completes known values, and leaves other values and arguments to the completion of files", async () => {
  const bash = await script("bash");
  assert.deepEqual(offered(bash, "serin pc cluster -o "), ["json", "yaml", "short"]);
  assert.deepEqual(offered(bash, "serin pc cluster --output y"), ["yaml"]);
  assert.deepEqual(offered(bash, "serin completion "), ["bash", "zsh", "fish"]);
  assert.deepEqual(offered(bash, "serin install -f "), []);
  assert.deepEqual(offered(bash, "serin install -f up"), []);
  assert.deepEqual(offered(bash, "serin manifest generate -o "), []);
  assert.deepEqual(offered(bash, "serin analyze "), []);
  assert.deepEqual(offered(bash, "serin analyze --use-k"), ["--use-kube"]);
});

/**
 * Declares a case that needs a shell. If the machine lacks the shell, reports the case as not run. With CI=true, the
 * case fails instead.
 */
function caseIn(shell: string, title: string, run: (t: TestContext) => Promise<void>): void {
  const { error } = spawnSync(shell, ["--version"]);
  if (error === undefined || process.env["CI"] === "true") test(title, run);
  else process.stderr.write(`not run, ${title}: ${shell} is not installed\n`);
}

caseIn("zsh", "zsh completes the same, and files where no word is known", async () => {
  const zsh = await script("zsh");
  assert.match(zsh, /^#compdef serin istioctl\n/);
  const stubs = `compdef() { : }
compadd() { shift; print -l -- "$@"; (( $# )) }
_files() { print files }`;
  const offers = (line: string): string[] => {
    const words = line.split(" ");
    const list = words.map((word) => `"${word}"`).join(" ");
    const program = `${stubs}\n${zsh}\nwords=(${list}); CURRENT=${words.length}; _serin`;
    return execFileSync("zsh", ["-f", "-c", program], { encoding: "utf8" }).trim().split("\n");
  };
  assert.ok(offers("istioctl -n shop pc ").includes("endpoint"));
  assert.deepEqual(offers("serin pc ep -o "), ["json", "yaml", "short"]);
  assert.ok(offers("serin pc ep web-1.shop --clu").includes("--cluster"));
  assert.deepEqual(offers("serin install -f "), ["files"]);
});

caseIn("fish", "fish completes the same", async (t) => {
  const directory = mkdtempSync(join(tmpdir(), "completion-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "serin.fish");
  writeFileSync(file, await script("fish"));
  const offers = (line: string): string[] => {
    const program = `source ${file}; complete -C '${line}'`;
    const { stdout, stderr } = spawnSync("fish", ["--no-config", "-c", program], { encoding: "utf8" });
    // The user's terminal would show errors of the script.
    assert.equal(stderr, "");
    return stdout
      .trim()
      .split("\n")
      .map((row) => row.split("\t")[0] ?? "");
  };
  assert.ok(offers("istioctl -n shop pc ").includes("endpoint"));
  assert.deepEqual(offers("serin pc ep -o "), ["json", "short", "yaml"]);
  assert.deepEqual(offers("serin pc ep web-1.shop --clu"), ["--cluster"]);
  assert.deepEqual(offers("serin completion "), ["bash", "fish", "zsh"]);
  assert.ok(offers("serin install -f /etc/host").includes("/etc/hosts"));
});

test("fish has a line for each verb and flag", async () => {
  const fish = await script("fish");
  assert.match(fish, /^complete -c istioctl -n '__serin_at "proxy-config" "pc"' -a 'endpoint' -d '/m);
  assert.match(fish, /^complete -c serin -n '__serin_at "waypoint apply"' -l for -r -F -d '/m);
  assert.match(fish, /^complete -c serin -n '__serin_at "analyze"' -F$/m);
});

test("another shell is refused", async () => {
  await assert.rejects(script("fsh"), /expected bash, zsh, fish; did you mean zsh\?/);
  await assert.rejects(script("toString"), /there is no completion for toString/);
});
