// Writes the list of verbs into docs/cli.md from the commands themselves. The text around the list is written by hand.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { commonFlags } from "../../src/cli/flags.ts";
import { completeProgram } from "../../src/cli/program.ts";
import { FakeContext } from "../../src/cli/testing/fake-context.ts";
import { clusterUsage } from "../../src/cmd/cluster.ts";
import { doctorUsage } from "../../src/cmd/doctor.ts";
import { releaseProgram } from "../../src/cmd/release.ts";

const path = join(import.meta.dirname, "../../docs/cli.md");
const begin = "<!-- verbs: written by scripts/generate/cli-docs.ts -->";
const end = "<!-- end of verbs -->";
const common = new Set(commonFlags.map(({ long }) => long.split(" ")[0]));
const release = { root: "", entry: "", version: "" };
/**
 * The verbs and flags of processes that parse their own arguments. The program of src/cli contains only the names of
 * these verbs.
 */
const ownArguments: Readonly<Record<string, string>> = {
  cluster: `\n\n\`\`\`text\n${clusterUsage}\`\`\``,
  doctor: `\n\n\`\`\`text\n${doctorUsage}\`\`\``,
  release: `\n${releaseProgram({ env: {}, release })
    .commands.map((command) => lineOf(command, `release ${command.name()}`))
    .join("\n")}`,
};

/** Returns the page with an up-to-date list. */
export async function withVerbs(page: string): Promise<string> {
  const [before = "", rest = ""] = page.split(begin);
  const after = rest.split(end)[1] ?? "";
  const program = await completeProgram(new FakeContext());
  const sections = program.commands.map(
    (command) =>
      `### ${[command.name(), ...(command.commands.length === 0 ? [] : command.aliases())].join(", ")}\n\n${linesOf(command, "").join("\n")}${ownArguments[command.name()] ?? ""}\n`,
  );
  return `${before}${begin}\n\n${sections.join("\n")}\n${end}${after}`;
}

function linesOf(command: Command, prefix: string): string[] {
  const name = `${prefix}${command.name()}`;
  const own = command.commands.length === 0 || isRunnable(command) ? [lineOf(command, name)] : [];
  return [...own, ...command.commands.flatMap((child) => linesOf(child, `${name} `))];
}

/** Whether the command does something by itself. A bare command group only prints its help. */
function isRunnable(command: Command): boolean {
  return typeof Reflect.get(command, "_actionHandler") === "function";
}

function lineOf(command: Command, name: string): string {
  const args = command.registeredArguments
    .map(
      (argument) =>
        ` ${argument.required ? "<" : "["}${argument.name()}${argument.variadic ? "..." : ""}${argument.required ? ">" : "]"}`,
    )
    .join("");
  const aliases = command
    .aliases()
    .map((alias) => `\`${alias}\``)
    .join(", ");
  const flags = command.options
    .filter(({ long, hidden }) => !hidden && !common.has(long ?? ""))
    .map(({ long, short }) => `\`${short === undefined ? "" : `${short}, `}${long ?? ""}\``);
  return `- \`${name}${args}\`${aliases === "" ? "" : ` (${aliases})`}: ${command.description()}${flags.length === 0 ? "" : `. ${flags.join(" ")}`}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  writeFileSync(path, await withVerbs(readFileSync(path, "utf8")));
