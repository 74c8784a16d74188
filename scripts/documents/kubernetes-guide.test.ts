import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { typedCommands } from "../../test/kubernetes/cases/guide.ts";

/** The programs that a client in the cluster of `npm run e2e:kubernetes` has. */
const programs = /^(serin|kubectl) /;

test("the case guide types only commands of programs that its cluster has", () => {
  const commands = typedCommands(readFileSync(join(import.meta.dirname, "../../docs/kubernetes.md"), "utf8"));
  assert.ok(commands.length > 15, `${commands.length} commands`);
  assert.deepEqual(
    commands.filter((line) => !programs.test(line)),
    [],
  );
});
