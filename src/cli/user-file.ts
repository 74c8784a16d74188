import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { messageOf, userError } from "../base/index.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EISDIR: "it is a directory, and a file is expected",
  EACCES: "you have no right to read it",
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

/** Why the system refused a path, in words. */
export function reasonOf(cause: unknown): string {
  return reasons[(cause as NodeJS.ErrnoException).code ?? ""] ?? messageOf(cause);
}
