import { lstatSync, readdirSync, unlinkSync, type Dirent } from "node:fs";
import { join } from "node:path";

export interface PruneCompileCacheOptions {
  /** The directory that `NODE_COMPILE_CACHE` names. */
  readonly directory: string;
  readonly nowMs: number;
  readonly maxFiles?: number;
}

/**
 * The maximum number of files. A checkout has about 6,000 files with compiled code, and a bundle has 300. Several
 * checkouts may share a cache directory.
 */
const defaultMaxFiles = 60_000;
/** The share of the maximum that pruning leaves, so that not every start has to prune. */
const keptShare = 2 / 3;
/** The age, in milliseconds, below which a file is kept, because Node.js may still be writing it. */
const youngMs = 600_000;
/** Matches Node.js' folder for a version, an architecture, its flags and a user. */
const versionFolder = /^v\d+\.\d+\.\d+-\w+-[0-9a-f]+-\d+$/;
const compiledFile = /^[0-9a-f]{8}$/;
/** The directories with compiled code: the cache itself, that of the lab's processes, and that of programs in pods. */
const folders = ["", "lab", "lab/pods"];

/**
 * If there are too many files with compiled code, removes those that were not used for the longest time. Node.js never
 * removes files, and each new path of a source file adds one, for example in each bundle and each folder of a test.
 * Other processes may use the cache meanwhile, because Node.js compiles again what is missing. Returns the number of
 * removed files.
 */
export function pruneCompileCache({ directory, nowMs, maxFiles = defaultMaxFiles }: PruneCompileCacheOptions): number {
  const paths = filesOf(directory);
  if (paths.length <= maxFiles) return 0;
  const unused = paths
    .map((path) => ({ path, usedMs: lastUseMs(path) }))
    .filter(({ usedMs }) => nowMs - usedMs > youngMs)
    .toSorted((left, right) => left.usedMs - right.usedMs)
    .slice(0, paths.length - Math.floor(maxFiles * keptShare));
  return unused.filter(({ path }) => removed(path)).length;
}

/**
 * The files with compiled code. Considers only files with names as Node.js gives them, because the environment variable
 * may name any directory. Does not follow links.
 */
function filesOf(directory: string): readonly string[] {
  return folders.flatMap((folder) =>
    entriesOf(join(directory, folder))
      .filter((entry) => entry.isDirectory() && versionFolder.test(entry.name))
      .flatMap(({ name }) =>
        entriesOf(join(directory, folder, name))
          .filter((entry) => entry.isFile() && compiledFile.test(entry.name))
          .map((entry) => join(directory, folder, name, entry.name)),
      ),
  );
}

function entriesOf(directory: string): readonly Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true });
  } catch {
    // Skip a directory that does not exist, or belongs to the user of a lab.
    return [];
  }
}

/** When a file was last used. Most file systems record at most one read of a file per day. */
function lastUseMs(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Math.max(stat.atimeMs, stat.mtimeMs);
}

function removed(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch {
    // The file is already gone, or belongs to the user of a lab.
    return false;
  }
}
