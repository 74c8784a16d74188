import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError } from "../base/index.ts";
import { run } from "./cluster.ts";
import type { RoleContext } from "./role.ts";

async function refused(line: string): Promise<string> {
  return await run({ args: line.split(" "), env: {} } as unknown as RoleContext).then(
    () => assert.fail("it was not refused"),
    describeError,
  );
}

test("each cluster verb refuses the flags of other verbs, and the error names them", async () => {
  assert.equal(
    await refused("delete --name a --workers 3"),
    "cluster delete has no flag --workers, which belongs to create\n  hint: cluster delete takes --name",
  );
  assert.match(await refused("create --json"), /^cluster create has no flag --json, which belongs to list, urls\n/);
  assert.match(await refused("list --name a"), /^cluster list has no flag --name, which belongs to create, delete,/);
  assert.match(await refused("shell --autoscale -- true"), /^cluster shell has no flag --autoscale/);
});

test("only cluster shell accepts a command", async () => {
  assert.match(await refused("delete --name a -- rm"), /^cluster delete runs no command/);
});

test("a misspelt verb or flag gets an error with the similar name", async () => {
  assert.equal(
    await refused("creat --name lab"),
    'unknown verb "cluster creat"; did you mean "cluster create"?\n  hint: serin cluster --help',
  );
  assert.equal(
    await refused("create --nme lab"),
    "cluster create: there is no flag --nme; did you mean --name?\n  hint: serin cluster create --help shows the flags",
  );
  assert.match(await refused("create --nodes 3"), /^cluster create: there is no flag --nodes\n/);
  assert.match(await refused("create --workers"), /^cluster create: the flag --workers needs a value\n/);
  assert.match(
    await refused("create --workers -1"),
    /^cluster create: the flag --workers needs a value; write a value that begins with - as --workers=-…\n/,
  );
  assert.match(await refused("list --zzzzzzzz"), /^cluster list: there is no flag --zzzzzzzz\n/);
});

test("a name or a command without its flag gets an error with the line that was meant", async () => {
  assert.equal(
    await refused("delete lab"),
    'cluster delete: unexpected argument "lab"\n  hint: a flag names the cluster: serin cluster delete --name lab',
  );
  assert.match(await refused("shell kubectl get pods"), /serin cluster shell -- kubectl …$/);
  assert.match(await refused("list lab"), /^cluster list: unexpected argument "lab"\n/);
});

test("a config that cannot be read gets an error without Node's own text", async () => {
  assert.match(
    await refused("create --config /nonexistent/kind.yaml"),
    /^cannot read \/nonexistent\/kind\.yaml: there is no such file or directory$/,
  );
});
