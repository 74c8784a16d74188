import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";

export interface DirectoryFile {
  readonly data: Buffer;
  readonly mode: number;
}

const dataLink = "..data";
const generationName = /^\.\.[0-9_]+$/;

/**
 * Replaces the files of a directory in one step, so that a reader sees either all old or all new files. The keys are
 * relative paths. As in the kubelet, files are links through `..data` into a directory with a time in its name. Returns
 * whether anything changed.
 */
export function writeAtomicDirectory(
  directory: string,
  files: ReadonlyMap<string, DirectoryFile>,
  nowMs: number,
): boolean {
  mkdirSync(directory, { recursive: true });
  if (isCurrent(directory, files)) return false;
  const generation = `..${new Date(nowMs).toISOString().replaceAll(/[-:T]/g, "_").replace(".", "_").replace("Z", "")}_${process.hrtime.bigint() % 1_000_000_000n}`;
  for (const [path, file] of files) {
    const target = join(directory, generation, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, file.data);
    chmodSync(target, file.mode);
  }
  mkdirSync(join(directory, generation), { recursive: true });
  const previous = currentGeneration(directory);
  const temporary = join(directory, "..data_tmp");
  rmSync(temporary, { force: true });
  symlinkSync(generation, temporary);
  renameSync(temporary, join(directory, dataLink));
  const topNames = new Set([...files.keys()].map((path) => path.split("/")[0] ?? ""));
  for (const name of topNames)
    if (!linkExists(join(directory, name))) symlinkSync(`${dataLink}/${name}`, join(directory, name));
  // Keep directories, because they are mount points of other volumes inside this one.
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isSymbolicLink() && !entry.name.startsWith("..") && !topNames.has(entry.name))
      rmSync(join(directory, entry.name), { force: true });
  }
  if (previous !== undefined) rmSync(join(directory, previous), { recursive: true, force: true });
  return true;
}

/**
 * Returns the name of the directory with the current files, which the next update removes. Returns undefined if the
 * link leads elsewhere. A container may have changed the link, and its target must not be removed.
 */
function currentGeneration(directory: string): string | undefined {
  try {
    const name = readlinkSync(join(directory, dataLink));
    return generationName.test(name) ? name : undefined;
  } catch {
    return undefined;
  }
}

function linkExists(path: string): boolean {
  try {
    readlinkSync(path);
    return true;
  } catch {
    return existsSync(path);
  }
}

function isCurrent(directory: string, files: ReadonlyMap<string, DirectoryFile>): boolean {
  const generation = currentGeneration(directory);
  if (generation === undefined) return false;
  const root = join(directory, generation);
  let present: string[];
  try {
    present = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1));
  } catch {
    return false;
  }
  if (present.length !== files.size) return false;
  return present.every((path) => {
    const wanted = files.get(path);
    return wanted !== undefined && readFileSync(join(root, path)).equals(wanted.data);
  });
}
