import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { arrangeArguments } from "./arguments.ts";

function program(): Command {
  const made = new Command("serin");
  const waypoint = made.command("waypoint");
  waypoint
    .command("apply")
    .option("--wait")
    .option("--name <name>")
    .action(() => undefined);
  waypoint
    .command("delete")
    .option("--all")
    .argument("[names...]")
    .action(() => undefined);
  return made;
}

test("the word true after a switch is left out, as the original ignores it, and false stays, which is an error", () => {
  const arranged = (...args: string[]): string[] => arrangeArguments(program(), args);
  assert.deepEqual(arranged("waypoint", "apply", "--wait", "true", "--name", "w"), [
    "waypoint",
    "apply",
    "--wait",
    "--name",
    "w",
  ]);
  assert.deepEqual(arranged("waypoint", "apply", "--wait", "false"), ["waypoint", "apply", "--wait", "false"]);
  assert.deepEqual(arranged("waypoint", "apply", "--name", "true"), ["waypoint", "apply", "--name", "true"]);
  assert.deepEqual(arranged("waypoint", "delete", "--all", "true"), ["waypoint", "delete", "--all", "true"]);
});
