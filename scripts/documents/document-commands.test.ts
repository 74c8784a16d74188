import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import type { Command } from "commander";
import { completeProgram } from "../../src/cli/program.ts";
import { FakeContext } from "../../src/cli/testing/fake-context.ts";
import { releaseProgram } from "../../src/cmd/release.ts";
import { readDocument, userDocuments } from "./document-blocks.ts";

const root = join(import.meta.dirname, "../..");
/** Verbs that start processes. Images and addons run these verbs, users do not. */
const roles =
  /^(pilot|proxy|ztunnel|cni|rollout|probe|prometheus|prometheus-reloader|kiali|grafana|sidecar-redirect|cluster-\w+)$/;
/** Verbs that are separate programs. Only their usage lists their options. */
const ownPrograms = /^(cluster|doctor)$/;

interface CommandLine {
  readonly at: string;
  readonly words: readonly string[];
  /** Whether the command stands in a code block, and must be complete. In a sentence, its arguments may be missing. */
  readonly isWhole: boolean;
}

test("every serin command in the documents has existing verbs, options and arguments", async () => {
  const program = await programOfUsers();
  const lines = userDocuments().flatMap((document) => commandLines(document, readDocument(document)));
  assert.ok(lines.length > 100, `${lines.length} command lines`);
  assert.deepEqual(
    lines.flatMap((line) => faultsOf(line, program)),
    [],
  );
});

test("an unknown verb, option or argument is reported with its line", async () => {
  const program = await programOfUsers();
  const text = [
    "See `serin image lost`, `serin install --sett a=b`, and `serin image list --layout DIR`.",
    "Or `serin cluster create --name x --nodes 3`, `serin cluster lose` and `serin doctor --kube`.",
    "Or `serin release build DIR --tag 1` or `serin release lose`.",
    "```sh",
    "serin image save   # no file",
    "serin canary status -n shop web more",
    "serin waypoint apply -n shop --enroll-namespace --wait && serin nothing",
    "```",
  ].join("\n");
  assert.deepEqual(
    commandLines("a.md", text).flatMap((line) => faultsOf(line, program)),
    [
      "a.md:1: serin image lost: no verb lost",
      "a.md:1: serin install --sett a=b: no option --sett",
      "a.md:2: serin cluster create --name x --nodes 3: no option --nodes",
      "a.md:2: serin cluster lose: no verb lose",
      "a.md:2: serin doctor --kube: no option --kube",
      "a.md:3: serin release build DIR --tag 1: no option --tag",
      "a.md:3: serin release lose: no verb lose",
      "a.md:5: serin image save: the option --output is missing",
      "a.md:6: serin canary status -n shop web more: 2 arguments, at most 1",
      "a.md:7: serin nothing: no verb nothing",
    ],
  );
});

/** Returns the verbs of the command line, and those of `serin release`, which is a program of its own. */
async function programOfUsers(): Promise<Command> {
  const program = await completeProgram(new FakeContext());
  const own = releaseProgram({ env: {}, release: { root: "", entry: "", version: "" } });
  const release = program.commands.find((command) => command.name() === "release") ?? program.command("release");
  for (const command of own.commands) release.addCommand(command);
  return program;
}

/** Returns the commands in code blocks and between backquotes. */
function commandLines(file: string, text: string): CommandLine[] {
  let isBlock = false;
  return text.split("\n").flatMap((line, index) => {
    if (line.trimStart().startsWith("```")) isBlock = !isBlock;
    const pieces = isBlock
      ? [line.replace(/\s#.*$/, "")]
      : [...line.matchAll(/`([^`]+)`/g)].map(([, piece = ""]) => piece);
    return pieces
      .flatMap((piece) => piece.split(/\s*(?:&&|\||;)\s*/))
      .map((piece) => piece.trim().split(/\s+/))
      .filter(([first = ""]) => /^(\$|(\.\/)?bin\/serin|serin)$/.test(first))
      .map((words) => (words[0] === "$" ? words.slice(1) : words))
      .filter(([first = "", second = ""]) => /^(\.\/)?(bin\/)?serin$/.test(first) && /^[a-z]/.test(second))
      .map(([, ...words]) => ({ at: `${file}:${index + 1}`, words, isWhole: isBlock }));
  });
}

function faultsOf({ at, words, isWhole }: CommandLine, program: Command): string[] {
  const [first = ""] = words;
  if (roles.test(first)) return [];
  const title = `${at}: serin ${words.join(" ")}`;
  if (ownPrograms.test(first)) return faultsOfOwnProgram(words).map((fault) => `${title}: ${fault}`);
  const faults: string[] = [];
  let command = program;
  let count = 0;
  const given = new Set<string>();
  // Brackets mark optional words.
  const rest = words.map((word) => word.replaceAll(/^\[|\]$/g, ""));
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (/^--?[a-zA-Z]/.test(word)) {
      const [name = "", value] = word.split("=");
      const option = command.options.find(({ long, short }) => long === name || short === name);
      if (option === undefined && !["-h", "--help"].includes(name)) faults.push(`no option ${name}`);
      given.add(option?.long ?? name);
      if (option?.required === true && value === undefined) rest.shift();
      continue;
    }
    const child = command.commands.find((one) => [one.name(), ...one.aliases()].includes(word));
    if (child !== undefined && count === 0) command = child;
    else if (command.commands.length > 0 && command.registeredArguments.length === 0) faults.push(`no verb ${word}`);
    else count += 1;
  }
  if (faults.length === 0 && isWhole) faults.push(...missingIn(command, count, given));
  return faults.map((fault) => `${title}: ${fault}`);
}

const usages = new Map<string, string>();

function usageOf(verb: string): string {
  const known = usages.get(verb);
  if (known !== undefined) return known;
  const usage = execFileSync(join(root, "bin/serin"), [verb, "--help"], { encoding: "utf8" });
  usages.set(verb, usage);
  return usage;
}

function faultsOfOwnProgram([first = "", ...words]: readonly string[]): string[] {
  const usage = usageOf(first);
  const [verb = ""] = words;
  const text = /^[a-z]/.test(verb)
    ? // The flags of a verb continue on deeply indented lines.
      usage
        .replaceAll(/\n {12,}/g, " ")
        .split("\n")
        .filter((line) => line.includes(`serin ${first} ${verb}`))
        .join("\n")
    : usage;
  if (text === "") return [`no verb ${verb}`];
  return words
    .filter((word) => /^--[a-z]/.test(word))
    .map((word) => word.split("=")[0] ?? "")
    .filter((option) => !new RegExp(`${option}\\b`).test(text))
    .map((option) => `no option ${option}`);
}

function missingIn(command: Command, count: number, given: ReadonlySet<string>): string[] {
  const wanted = command.registeredArguments;
  const least = wanted.filter(({ required }) => required).length;
  const most = wanted.some(({ variadic }) => variadic) ? Infinity : wanted.length;
  return [
    ...(count < least ? [`${count} arguments, at least ${least}`] : []),
    ...(count > most ? [`${count} arguments, at most ${most}`] : []),
    ...command.options
      .filter(({ mandatory, long }) => mandatory && !given.has(long ?? ""))
      .map(({ long }) => `the option ${long ?? ""} is missing`),
  ];
}
