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
