import { readdir, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { userError } from "../../base/index.ts";
import { readManifest, type Manifest, type ManifestFault } from "../../analyze/index.ts";
import type { CliContext } from "../context.ts";
import { reasonOf, sourceName } from "../user-file.ts";

const extensions = [".json", ".yaml", ".yml"];

export interface ReadManifests extends Manifest {
  /** The files that were read: those on the command line, and those in directories on it. `-` is standard input. */
  readonly files: readonly string[];
}

/**
 * Which files on the command line are read even if their names do not end as those of YAML or JSON do: all, or only
 * pipes.
 */
type NamedFiles = "all" | "pipes";

/**
 * The objects in files, and in directories with all their subdirectories. Skips and reports files whose names do not
 * end as those of YAML or JSON do. A path that does not exist is a user error.
 */
export async function readManifests(
  paths: readonly string[],
  named: NamedFiles,
  context: CliContext,
): Promise<ReadManifests> {
  const files = (await Promise.all(paths.map(async (path) => await filesOf(path, named, context)))).flat();
  const manifests = await Promise.all(
    files.map(async (file) => await readManifest(file, await context.readFile(file))),
  );
  // A pipe is empty if the program that writes it has failed. The command must not report that as objects without
  // faults.
  for (const [index, { resources, faults }] of manifests.entries())
    if (resources.length + faults.length === 0)
      context.err(`! ${sourceName(files[index] ?? "")} contains no objects\n`);
  return {
    files,
    resources: manifests.flatMap(({ resources }) => resources),
    faults: manifests.flatMap(({ faults }) => faults),
  };
}

async function filesOf(path: string, named: NamedFiles, context: CliContext): Promise<readonly string[]> {
  if (path === "-") {
    if (context.interactive) context.err("Reading from stdin:\n");
    return [path];
  }
  const found = await stat(path).catch((error: unknown) => {
    throw userError("file-unreadable", `cannot read ${path}: ${reasonOf(error)}`);
  });
  if (!found.isDirectory()) return named === "all" || found.isFIFO() || accepted(path, context) ? [path] : [];
  const below = await readdir(path, { recursive: true, withFileTypes: true });
  const files = below.filter((entry) => !entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  const read = files.toSorted().filter((file) => accepted(file, context));
  if (read.length === 0) context.err(`! ${path} contains no files whose names end in ${extensions.join(", ")}\n`);
  return read;
}

function accepted(file: string, context: CliContext): boolean {
  if (extensions.includes(extname(file))) return true;
  context.err(`Skipping file ${file}, recognized file extensions are: [${extensions.join(" ")}]\n`);
  return false;
}

/** Formats a fault as `file.yaml:3:7: what is wrong`. */
export function faultText({ file, position, message }: ManifestFault): string {
  return `${[file, ...(position === undefined ? [] : [position.line, position.column])].join(":")}: ${message}`;
}
