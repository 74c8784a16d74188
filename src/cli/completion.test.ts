import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { createProgram } from "./program.ts";
import { FakeContext } from "./testing/fake-context.ts";

async function script(shell: string): Promise<string> {
  const context = new FakeContext();
  await createProgram(context).parseAsync(["completion", shell], { from: "user" });
  return context.output;
}

/** What bash offers behind the words; the last one is being typed. */
async function offered(...words: string[]): Promise<string[]> {
  const lines = `${await script("bash")}\nCOMP_WORDS=(serin "$@"); COMP_CWORD=$#; _serin; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", lines, "bash", ...words], { encoding: "utf8" }).trim().split("\n");
}

test("bash completes verbs, verbs of verbs, flags, and verbs of other programs", async () => {
  assert.deepEqual(await offered("un"), ["uninstall"]);
  assert.deepEqual(await offered("ztunnel-config", "wor"), ["workload"]);
  assert.deepEqual(await offered("uninstall", "--p"), ["--purge"]);
  assert.deepEqual(await offered("ztunnel-config", "log", "--l"), ["--level"]);
  assert.deepEqual(await offered("cluster", "de"), ["delete"]);
});

test("zsh gets the same by its bash completion, another shell is refused", async () => {
  assert.match(await script("zsh"), /^autoload -U \+X bashcompinit && bashcompinit\n_serin\(\) \{/);
  await assert.rejects(script("fish"), /completion for fish is not there: expected bash or zsh/);
});
