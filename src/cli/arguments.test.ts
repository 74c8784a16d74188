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

test("the word true after a switch is dropped, as istioctl ignores it, and the word false stays and causes an error", () => {
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

test("an unknown word after a verb that also runs alone is reported", () => {
  const made = program();
  const upgrade = made.command("upgrade").action(() => undefined);
  upgrade.command("status").argument("<name>");
  upgrade.command("start").option("-f, --filename <file>");
  const arranged = (...args: string[]): string[] => arrangeArguments(made, args);
  assert.throws(() => arranged("upgrade", "statsu", "x"), {
    message: '"upgrade statsu" is not a command; did you mean "upgrade status"?',
    hint: "upgrade takes status, start, or no word at all",
  });
  assert.throws(() => arranged("-n", "shop", "upgrade", "bogus"), { message: '"upgrade bogus" is not a command' });
  assert.deepEqual(arranged("upgrade"), ["upgrade"]);
  assert.deepEqual(arranged("upgrade", "status", "bogus"), ["upgrade", "status", "bogus"]);
});

test("a flag without its value is reported, although the line has no verb", () => {
  const arranged = (...args: string[]): string[] => arrangeArguments(program(), args);
  assert.throws(() => arranged("waypoint", "--context"), {
    message: "the flag --context needs a value, and a command behind it",
    hint: "serin waypoint --help lists the commands",
  });
  assert.throws(() => arranged("-n"), { hint: "serin --help lists the commands" });
  assert.deepEqual(arranged("-n", "shop"), ["--help"]);
});
