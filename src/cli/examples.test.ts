import assert from "node:assert/strict";
import { test } from "node:test";
import type { Command } from "commander";
import { arrangeArguments, hasAction } from "./arguments.ts";
import { examples } from "./examples.ts";
import { completeProgram } from "./program.ts";
import { FakeContext } from "./testing/fake-context.ts";

function verbsBelow(command: Command, path: string): [path: string, command: Command][] {
  return command.commands.flatMap((child): [string, Command][] => {
    const name = `${path}${child.name()}`;
    return [...(hasAction(child) ? [[name, child] satisfies [string, Command]] : []), ...verbsBelow(child, `${name} `)];
  });
}

test("each verb has an example, and each example belongs to a verb", async () => {
  const verbs = verbsBelow(await completeProgram(new FakeContext()), "").map(([path]) => path);
  assert.ok(verbs.length > 100, `${verbs.length} verbs`);
  const hasNone = (path: string): boolean =>
    examples[path] === undefined && examples[path.replace(/^experimental /, "")] === undefined;
  assert.deepEqual(verbs.filter(hasNone), []);
  assert.deepEqual(
    Object.keys(examples).filter((path) => !verbs.includes(path)),
    [],
  );
});

function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(
    ([, quoted, single, plain]) => quoted ?? single ?? plain ?? "",
  );
}

test("the parser accepts each example, and runs the verb or one below it", async () => {
  for (const [path, lines] of Object.entries(examples))
    for (const [line] of lines) {
      const program = await completeProgram(new FakeContext());
      const ran: string[] = [];
      for (const [name, command] of verbsBelow(program, "")) command.action(() => void ran.push(name));
      await program.parseAsync(arrangeArguments(program, wordsOf(line)), { from: "user" });
      assert.ok(ran.length === 1 && `${ran[0]} `.startsWith(`${path} `), `${line} runs ${ran.join(", ")}`);
    }
});

test("a help ends with the verb's examples, below the name by which the program was called", async () => {
  const context = Object.assign(new FakeContext(), { programName: "istioctl" });
  const program = await completeProgram(context);
  await assert.rejects(program.parseAsync(["waypoint", "apply", "--help"], { from: "user" }));
  assert.match(
    context.output,
    /\n\nExample:\n {2}# all Services of the namespace use it\n {2}istioctl waypoint apply -n shop --enroll-namespace --wait\n$/,
  );
});

test("the program's own help ends with the first steps, and a verb's help does not", async () => {
  const helpOf = async (...words: readonly string[]): Promise<string> => {
    const context = new FakeContext();
    const program = await completeProgram(context);
    await assert.rejects(program.parseAsync([...words, "--help"], { from: "user" }));
    return context.output;
  };
  assert.match(await helpOf(), /\n {2}serin canary create --help {2,}# a verb's flags and examples\n$/);
  assert.doesNotMatch(await helpOf("tag", "set"), /cluster create/);
});

test("examples fit a terminal of 80 columns, except commands that are longer themselves", async () => {
  for (const path of ["", ...Object.keys(examples)]) {
    const context = new FakeContext();
    const program = await completeProgram(context);
    await program
      .parseAsync(
        [...path.split(" "), "--help"].filter((word) => word !== ""),
        { from: "user" },
      )
      .catch(() => undefined);
    const [, shown = ""] = /\nExamples?:\n([\s\S]*)$/.exec(context.output) ?? [];
    const wide = shown.split("\n").filter((line) => line.length > 80 && line.includes(" # "));
    assert.deepEqual([shown === "", wide], [false, []], path);
  }
});
