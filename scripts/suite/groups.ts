// The groups of test files, and which files are in each.
import { globSync } from "node:fs";

export const groups = ["unit", "netns", "e2e", "interop"] as const;
export type Group = (typeof groups)[number];

export function filesOf(root: string, group: Group): string[] {
  if (group === "e2e" || group === "interop") return globSync(`test/${group}/**/*.test.ts`, { cwd: root }).sort();
  const all = globSync(
    ["src/**/*.test.ts", "scripts/**/*.test.ts", "samples/**/*.test.ts", "test/support/**/*.test.ts"],
    { cwd: root },
  ).sort();
  return all.filter((file) => file.endsWith(".netns.test.ts") === (group === "netns"));
}
