import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { createProgram } from "./program.ts";
import { FakeContext } from "./testing/fake-context.ts";

async function script(shell: string): Promise<string> {
  const context = new FakeContext();
  await createProgram(context).parseAsync(["completion", shell]);
  return context.output;
}

/** The completions that bash offers for a line with an unfinished last word. */
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
  assert.deepEqual(offered(bash, "istioctl -n shop pc end"), ["endpoint"]);
  assert.deepEqual(offered(bash, "serin pc ep web-1.shop --clu"), ["--cluster"]);
  assert.deepEqual(offered(bash, "serin x describe po"), ["pod"]);
  assert.deepEqual(offered(bash, "serin cluster cr"), ["create"]);
  assert.deepEqual(offered(bash, "serin ztunnel-config log --level debug --lo"), []);
});

test("zsh loads bash's completion, and fish has a line for each verb and flag", async () => {
  assert.match(await script("zsh"), /bashcompinit\n[^]*complete -o default -F _serin serin istioctl\n$/);
  const fish = await script("fish");
  assert.match(fish, /^complete -c istioctl -n '__serin_at "proxy-config" "pc"' -a 'endpoint' -d '/m);
  assert.match(fish, /^complete -c serin -n '__serin_at "waypoint apply"' -l for -r -d '/m);
});

test("another shell is refused", async () => {
  await assert.rejects(script("fsh"), /expected bash, zsh, fish; did you mean zsh\?/);
  await assert.rejects(script("toString"), /there is no completion for toString/);
});
