import { lstatSync, readdirSync, unlinkSync, type Dirent } from "node:fs";
import { join } from "node:path";

export interface PruneCompileCacheOptions {
  /** The directory in `NODE_COMPILE_CACHE`. */
  readonly directory: string;
  readonly nowMs: number;
  readonly maxFiles?: number;
}

/**
 * How many files may be in the cache. A checkout has about 6,000 with compiled code, and a bundle has 300. Several
 * checkouts may share the cache.
 */
const defaultMaxFiles = 60_000;
/** Pruning leaves this share of the maximum, so that not every start has to prune. */
const keptShare = 2 / 3;
/** Files younger than this stay, because Node.js may still be writing them. */
const youngMs = 600_000;
/** Node.js' folder for a version, an architecture, flags and a user. */
const versionFolder = /^v\d+\.\d+\.\d+-\w+-[0-9a-f]+-\d+$/;
const compiledFile = /^[0-9a-f]{8}$/;
/** The directories with compiled code: the cache itself, that of the lab's processes, and that of programs in pods. */
const folders = ["", "lab", "lab/pods"];

/**
 * If there are too many files with compiled code, removes those that have been unused the longest, and returns their
 * number. Node.js never removes any, and each new path of a source file adds one, for example in each bundle or test
 * folder. Other processes may use the cache in the meantime: Node.js compiles again what is missing.
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
 * The files with compiled code. Counts only names that Node.js gives, and follows no links, because the variable may
 * name any directory.
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
    // The directory does not exist, or belongs to the user of a lab.
    return [];
  }
}

/** Most file systems record at most one read of a file a day. */
function lastUseMs(path: string): number {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat === undefined ? 0 : Math.max(stat.atimeMs, stat.mtimeMs);
}

function removed(path: string): boolean {
  try {
    unlinkSync(path);
    return true;
  } catch {
    // The file is gone, or belongs to the user of a lab.
    return false;
  }
}
