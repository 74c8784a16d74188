import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../../..");

/** Returns the texts of the files that match the pattern, by their path from the root. */
export function readSources(pattern: string): ReadonlyMap<string, string> {
  return new Map(globSync(pattern, { cwd: root }).map((file) => [file, readFileSync(join(root, file), "utf8")]));
}
