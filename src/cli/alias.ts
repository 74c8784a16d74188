import { lstatSync, readlinkSync, symlinkSync, unlinkSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import type { Command } from "commander";
import { messageOf, userError } from "../base/index.ts";
import type { CliContext } from "./context.ts";
import { makeUserDirectory } from "./user-file.ts";

interface AliasFlags {
  readonly directory?: string;
  readonly remove?: boolean;
  readonly dryRun?: boolean;
}

const aliasName = "istioctl";

export function aliasCommand(program: Command, context: CliContext): void {
  program
    .command("alias <name>")
    .description(
      `create a link in ~/.local/bin that runs this command line as ${aliasName}; the command never overwrites another ${aliasName}`,
    )
    .option("-d, --directory <directory>", "the directory of the link (default: ~/.local/bin)")
    .option("--remove", "remove the link")
    .option("--dry-run", "print the changes, and write nothing")
    .action((name: string, flags: AliasFlags) => alias(name, flags, context));
}

function alias(name: string, flags: AliasFlags, context: CliContext): void {
  if (name !== aliasName)
    throw userError(
      "argument-invalid",
      `"${name}" is not a name that this command line supports: expected ${aliasName}`,
    );
  const directory = resolve(flags.directory ?? join(context.env["HOME"] ?? ".", ".local/bin"));
  const path = join(directory, aliasName);
  const present = targetOf(path);
  if (present !== undefined && present !== context.executable) {
    throw userError(
      "path-taken",
      `${path} already exists, and serin alias did not create it${present === "" ? "" : `: it points to ${present}`}`,
      { hint: `choose another directory with --directory, or remove that file` },
    );
  }
  const suffix = flags.dryRun === true ? " (dry run)" : "";
  if (flags.remove === true) {
    if (present !== undefined && flags.dryRun !== true) unlinkSync(path);
    return context.out(present === undefined ? `${path} does not exist\n` : `✔ ${path} is removed${suffix}\n`);
  }
  if (flags.dryRun !== true && present === undefined) link(path, directory, context.executable);
  context.out(`✔ ${path} points to ${context.executable}${suffix}\n`);
  const search = (context.env["PATH"] ?? "").split(delimiter);
  const at = search.indexOf(directory);
  const other = search
    .slice(0, at === -1 ? search.length : at)
    .map((folder) => join(folder, aliasName))
    .find((candidate) => candidate !== path && targetOf(candidate) !== undefined);
  if (other !== undefined) context.err(`! the shell finds ${other} first\n`);
  if (at === -1) context.err(`! ${directory} is not in PATH: export PATH="${directory}:$PATH"\n`);
}

/**
 * The target of a symbolic link. Undefined if nothing exists at the path, and empty if something other than a link
 * does.
 */
function targetOf(path: string): string | undefined {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return undefined;
  return found.isSymbolicLink() ? resolve(path, "..", readlinkSync(path)) : "";
}

const otherDirectory = "choose another directory with --directory";

function link(path: string, directory: string, target: string): void {
  makeUserDirectory(directory, otherDirectory);
  try {
    symlinkSync(target, path);
  } catch (cause) {
    throw userError("path-not-writable", `${path} cannot be created: ${messageOf(cause)}`, {
      cause,
      hint: otherDirectory,
    });
  }
}
