// Asks git which files of the work tree changed since a revision.
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { SourceTree } from "./import-graph.ts";

export interface ChangedFiles {
  /** The short name of the revision with which the work tree is compared. */
  readonly base: string;
  readonly files: readonly string[];
}

/** Possible names of the main branch, the most specific first. */
const mainLines = ["@{upstream}", "origin/main", "main", "origin/master", "master"] as const;

/**
 * Returns the files that were added, changed or deleted since the branch left the given revision, or the main branch if
 * none is given. The changes may be uncommitted.
 */
export function changedFiles(root: string, revision: string | undefined): ChangedFiles {
  const git = (...args: string[]): string[] =>
    execFileSync("git", args, { cwd: root, encoding: "utf8", maxBuffer: 64 << 20 })
      .split("\0")
      .map((line) => line.trim())
      .filter((line) => line !== "");
  const commitOf = (...args: string[]): string | undefined => {
    const { status, stdout } = spawnSync("git", args, { cwd: root, encoding: "utf8" });
    return status === 0 && stdout.trim() !== "" ? stdout.trim() : undefined;
  };
  if (commitOf("rev-parse", "--verify", "--quiet", "HEAD^{commit}") === undefined)
    throw new Error("--changed needs a git checkout with at least one commit: run npm test without it");
  if (revision !== undefined && commitOf("rev-parse", "--verify", "--quiet", `${revision}^{commit}`) === undefined)
    throw new Error(`--changed ${revision}: expected a revision that git knows, such as HEAD~1 or main`);
  const line =
    revision ??
    mainLines.find((name) => commitOf("rev-parse", "--verify", "--quiet", `${name}^{commit}`) !== undefined) ??
    "HEAD";
  const base = commitOf("merge-base", line, "HEAD") ?? line;
  const files = new Set([
    ...git("diff", "--name-only", "--no-renames", "-z", base, "--"),
    ...git("ls-files", "--others", "--exclude-standard", "-z"),
  ]);
  return { base: commitOf("rev-parse", "--short", base) ?? base, files: [...files].toSorted() };
}

/** Returns every file of the work tree that git tracks or would add. */
export function treeOf(root: string): SourceTree {
  const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard", "-z"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  })
    .split("\0")
    .filter((file) => file !== "");
  const texts = new Map<string, string | undefined>();
  const textOf = (file: string): string | undefined => {
    if (!texts.has(file)) texts.set(file, readText(join(root, file)));
    return texts.get(file);
  };
  return { files: new Set(files), textOf };
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
