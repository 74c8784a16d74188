// Types every line of the tutorial "A first Canary in five minutes" (docs/first-canary.md), in the tutorial's order.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { kubectls } from "../support/kubectls.ts";
import { root } from "../support/lab-cluster.ts";
import { commandsOf } from "../support/typed-blocks.ts";
import { Walkthrough } from "../support/walkthrough.ts";

const [kubectl] = kubectls().slice(-1);
assert.ok(kubectl);
const guide = new Walkthrough("lab", kubectl);
let typed = 0;

const commands = commandsOf(readFileSync(join(root, "docs/first-canary.md"), "utf8"));

/** Types the next commands, up to and including the first that begins with this text. */
async function typeUpTo(last: string): Promise<string> {
  for (;;) {
    const line = commands[typed];
    assert.ok(line, `no line of the tutorial begins with ${last}`);
    typed += 1;
    const output = await type(line);
    if (line.startsWith(last)) return output;
  }
}

/**
 * Runs the machine's own commands outside the lab, and each other line in a new shell of the lab. `canary status` ends
 * with 3 after a rollback, as the tutorial says.
 */
async function type(line: string): Promise<string> {
  const placed = `cd ${root} && ${line}`;
  if (line === "bin/serin cluster shell --name lab") return "";
  if (line.startsWith("bin/serin cluster ")) return await guide.lab.ok(["bash", "-c", placed]);
  const { code, output } = await guide.lab.shell(placed);
  const wanted = line.startsWith("serin canary status") && output.includes("RolledBack") ? 3 : 0;
  if (code === wanted) return output;
  const { output: now } = await guide.lab.shell("kubectl get pods -n shop; serin canary status -n shop web");
  throw new Error(`${line}: ended with ${code}, expected ${wanted}\n${output}\n${now}`);
}

const step = (title: string, body: () => Promise<void>): void => void test(title, guide.step(title, body));

before(() => assert.ok(commands.length > 10, "the tutorial has commands"));
after(async () => await guide.lab.delete());

step("a cluster, a mesh, an application and requests", async () => {
  await typeUpTo("kubectl wait -n shop --for=condition=Available deployment/users");
});

step("a good version gets half of the requests, then all", async () => {
  assert.match(await typeUpTo("serin canary status"), /Completed/);
  assert.match(await typeUpTo("kubectl exec"), /nginx server v2/);
});

step("a bad version is rolled back by itself, and the status gives the reason", async () => {
  assert.match(await typeUpTo("serin canary status"), /RolledBack[^]*request-success-rate/);
  assert.equal(await typeUpTo("kubectl get deployment"), "");
});

step("the last line deletes the cluster", async () => {
  await typeUpTo("bin/serin cluster delete");
  assert.equal(typed, commands.length, "every line was typed");
  assert.deepEqual(guide.lab.processes(), []);
});
