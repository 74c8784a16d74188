import { readFile, writeFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { messageOf, userError } from "../base/index.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EROFS: "its file system is read-only",
  EISDIR: "it is a directory, and a file is expected",
  EACCES: "permission denied",
  ENOTDIR: "a part of its path is not a directory",
};

/** The text of a file that the user has named, of standard input for `-`. Throws a user error that names the file. */
export async function readUserFile(path: string): Promise<string> {
  try {
    return path === "-" ? await text(process.stdin) : await readFile(path, "utf8");
  } catch (cause) {
    throw userError("file-unreadable", `cannot read ${path}: ${reasonOf(cause)}`);
  }
}

/** Writes a file that the user has named. Throws a user error that names the file. */
export async function writeUserFile(path: string, content: string): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (cause) {
    throw userError("path-not-writable", `cannot write ${path}: ${reasonOf(cause)}`);
  }
}

/** Why the system refused a path, in words. */
export function reasonOf(cause: unknown): string {
  return reasons[(cause as NodeJS.ErrnoException).code ?? ""] ?? messageOf(cause);
}
