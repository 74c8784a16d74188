import { existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { readFile, writeFile } from "node:fs/promises";
import { buffer } from "node:stream/consumers";
import { messageOf, userError } from "../base/index.ts";

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or directory",
  EROFS: "its file system is read-only",
  EISDIR: "it is a directory, and a file is expected",
  EACCES: "permission denied",
  ENOTDIR: "a part of its path is not a directory",
};

/** How messages name a file: `-` is standard input. */
export function sourceName(file: string): string {
  return file === "-" ? "standard input" : file;
}

/**
 * The text of a file that the user has named, or of standard input for `-`. Throws a user error that names the file.
 * The error's `reason` is the system's code.
 */
export async function readUserFile(path: string): Promise<string> {
  try {
    return textOf(path === "-" ? await buffer(process.stdin) : await readFile(path));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw userError(
      "file-unreadable",
      `cannot read ${sourceName(path)}: ${reasonOf(cause)}`,
      code === undefined ? {} : { reason: code },
    );
  }
}

/** Decodes a file's text. PowerShell writes UTF-16 with a byte order mark. Anything else is UTF-8. */
function textOf(bytes: Buffer): string {
  const mark = bytes.subarray(0, 2).toString("hex");
  if (mark !== "fffe" && mark !== "feff") return bytes.toString("utf8");
  return new TextDecoder(mark === "fffe" ? "utf-16le" : "utf-16be").decode(bytes);
}

/** Writes a file that the user has named. Throws a user error that names the file. */
export async function writeUserFile(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (cause) {
    throw userError("path-not-writable", `cannot write ${path}: ${reasonOf(cause)}`);
  }
}

/**
 * Makes a directory that the user has named, with its parents. Throws a user error that names it. Node.js' own
 * recursive mkdir never returns if a parent exists and allows no entries, as in /proc.
 */
export function makeUserDirectory(path: string, hint: string): void {
  const missing: string[] = [];
  for (let at = resolve(path); !existsSync(at); at = dirname(at)) missing.unshift(at);
  try {
    for (const folder of missing) makeDirectory(folder);
    if (!statSync(path).isDirectory()) throw new Error("it is a file, and a directory is expected");
  } catch (cause) {
    throw userError("path-not-writable", `${path} cannot be created: ${reasonOf(cause)}`, { hint });
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
}

export function reasonOf(cause: unknown): string {
  return reasons[(cause as NodeJS.ErrnoException).code ?? ""] ?? messageOf(cause);
}
