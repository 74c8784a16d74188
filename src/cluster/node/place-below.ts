import { closeSync, constants, fstatSync, mkdirSync, openSync, readSync, rmSync } from "node:fs";
import { basename, dirname, relative } from "node:path";
import { SerinError, userError } from "../../base/index.ts";

/**
 * A path below a directory of a node in which pods may write, such as the host root. A pod can put a link, a pipe or a
 * very large file at any place there. So the node follows no link below `root`, and reads files only up to a bound.
 */
export interface PlaceBelow {
  /** The root directory, which belongs to the node. The path to it may contain links. */
  readonly root: string;
  /** The absolute path of the place: `root` itself, or a path below it. */
  readonly path: string;
}

const { O_CREAT, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = constants;
/** The flag with which open(2) does not access the content, so that opening a device or a socket has no effect. */
const O_PATH = 0o10000000;

/**
 * Calls `use` with a path that leads to the directory even if a pod replaces a directory above it during the call. The
 * path is valid only during the call. Throws a user error if the place or a directory above it, up to the root, is a
 * link.
 */
export function inDirectoryBelow<T>(
  place: PlaceBelow,
  { createMissing }: { readonly createMissing: boolean },
  use: (directory: string) => T,
): T {
  let descriptor = openSync(place.root, O_RDONLY | O_DIRECTORY);
  try {
    for (const name of relative(place.root, place.path).split("/")) {
      if (name === "") continue;
      const entry = `/proc/self/fd/${descriptor}/${name}`;
      if (createMissing) makeDirectory(entry);
      const next = openWithoutLink(place, entry, O_RDONLY | O_DIRECTORY);
      closeSync(descriptor);
      descriptor = next;
    }
    return use(`/proc/self/fd/${descriptor}`);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Calls `use` with a path that leads to exactly this file, directory, device or socket. The path is valid only during
 * the call. Throws a user error if the place or a directory above it, up to the root, is a link.
 */
export function atPlaceBelow<T>(place: PlaceBelow, use: (path: string) => T): T {
  const { root, path } = place;
  if (relative(root, path) === "") return use(root);
  return inDirectoryBelow({ root, path: dirname(path) }, { createMissing: false }, (directory) => {
    const descriptor = openSync(`${directory}/${basename(path)}`, O_PATH | O_NOFOLLOW);
    try {
      if (fstatSync(descriptor).isSymbolicLink()) throw notOurs(place);
      return use(`/proc/self/fd/${descriptor}`);
    } finally {
      closeSync(descriptor);
    }
  });
}

/**
 * Opens a regular file. If the flags create the file, also creates its directory. Throws a user error if the place is
 * not a regular file.
 */
export function openFileBelow(place: PlaceBelow, flags: number, mode?: number): number {
  const directory = { root: place.root, path: dirname(place.path) };
  return inDirectoryBelow(directory, { createMissing: (flags & O_CREAT) !== 0 }, (path) => {
    // Without O_NONBLOCK, opening a pipe would wait for its other end.
    const descriptor = openWithoutLink(place, `${path}/${basename(place.path)}`, flags | O_NONBLOCK, mode);
    if (fstatSync(descriptor).isFile()) return descriptor;
    closeSync(descriptor);
    throw notOurs(place);
  });
}

/** The last `maxBytes` of a file, or the whole file if it is shorter. */
export function readEndBelow(place: PlaceBelow, maxBytes: number): Buffer {
  const descriptor = openFileBelow(place, O_RDONLY);
  try {
    const { size } = fstatSync(descriptor);
    const bytes = Buffer.alloc(Math.min(size, maxBytes));
    let length = 0;
    while (length < bytes.length) {
      const read = readSync(descriptor, bytes, length, bytes.length - length, size - bytes.length + length);
      if (read === 0) break;
      length += read;
    }
    return bytes.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
}

/** Removes a file, a link, or a directory with its content. Does nothing if a directory above it is a link. */
export function removeBelow({ root, path }: PlaceBelow): void {
  try {
    inDirectoryBelow({ root, path: dirname(path) }, { createMissing: false }, (directory) =>
      rmSync(`${directory}/${basename(path)}`, { recursive: true, force: true }),
    );
  } catch (error) {
    if (!(error instanceof SerinError) && (error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

function openWithoutLink(place: PlaceBelow, path: string, flags: number, mode?: number): number {
  try {
    return openSync(path, flags | O_NOFOLLOW, mode);
  } catch (error) {
    // open(2) fails for a link with ELOOP, or with ENOTDIR where a directory was expected. For a pipe without a reader
    // it fails with ENXIO.
    if (["ELOOP", "ENOTDIR", "ENXIO", "EISDIR"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw notOurs(place);
    throw error;
  }
}

function notOurs({ root, path }: PlaceBelow): Error {
  return userError(
    "volume-invalid",
    `/${relative(root, path)} on the node: a link or another file stands where the node keeps its own files and ` +
      "directories. Only a pod with a hostPath volume can have made it; remove it there",
  );
}
