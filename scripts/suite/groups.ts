// The groups of test files, and which files are in each.
import { globSync } from "node:fs";
import { UsageError } from "./usage-error.ts";

export const groups = ["unit", "netns", "e2e", "interop"] as const;
export type Group = (typeof groups)[number];

export function filesOf(root: string, group: Group): string[] {
  if (group === "e2e" || group === "interop") return globSync(`test/${group}/**/*.test.ts`, { cwd: root }).sort();
  const all = globSync(
    [
      "src/**/*.test.ts",
      "scripts/**/*.test.ts",
      "samples/**/*.test.ts",
      "test/support/**/*.test.ts",
      "test/isolation/**/*.test.ts",
    ],
    { cwd: root },
  ).sort();
  return all.filter((file) => file.endsWith(".netns.test.ts") === (group === "netns"));
}

/**
 * Returns the files that the names choose. A name is a test file or a folder of them, relative to the root. Without
 * names, returns all files. Throws if a name chooses no file.
 */
export function chosenFiles(
  files: ReadonlyMap<Group, readonly string[]>,
  names: readonly string[],
): Map<Group, string[]> {
  const isChosen = (name: string, file: string): boolean =>
    file === name || file.startsWith(`${name.replace(/\/+$/, "")}/`);
  const all = [...files.values()].flat();
  const unknown = names.filter((name) => !all.some((file) => isChosen(name, file)));
  if (unknown.length > 0)
    throw new UsageError(
      `${unknown.join(", ")}: expected a test file or a folder of test files of the groups ${[...files.keys()].join(", ")}, relative to the root of the checkout; --only names another group`,
    );
  const chosen = (file: string): boolean => names.length === 0 || names.some((name) => isChosen(name, file));
  return new Map([...files].map(([group, ofGroup]) => [group, ofGroup.filter(chosen)]));
}
