// Chooses the test files and the sources to lint that the changes in the work tree can touch, and explains the choice
// of tests in a few lines.
import { changedFiles, treeOf } from "./changed-files.ts";
import type { Group } from "./groups.ts";
import { ImportGraph } from "./import-graph.ts";
import { sourcesToLint } from "./sources-to-lint.ts";
import { checksTree, selectTests, type Selection } from "./select-tests.ts";

/**
 * A file that starts every role of the program in a lab. It runs when the program changed, unless the run consists only
 * of end-to-end files.
 */
export const spanningFile = "test/e2e/demo.test.ts";
const maxLines = 15;

export interface PlanOfChange {
  readonly tests: Map<Group, readonly string[]>;
  /** Returns the sources to lint, or undefined for all sources. Reads all sources. */
  readonly findLint: () => readonly string[] | undefined;
}

/**
 * Plans the run of a change. Every file of test/e2e/ runs the whole program, so each change of src/ affects all of
 * them. With `--only e2e`, all of them run. Without this option, only two kinds of them run: files whose sources or
 * data outside src/ have changed, and the file that starts every role.
 */
export function planOfChange(
  root: string,
  files: ReadonlyMap<Group, readonly string[]>,
  since: string | undefined,
  only: Group | "check" | undefined,
): PlanOfChange {
  const { base, files: changed } = changedFiles(root, since);
  const tree = treeOf(root);
  // One graph for all groups, because reading the sources takes most of the time.
  const graph = new ImportGraph({ ...tree, files: new Set([...tree.files, ...changed]) });
  const changedOutsideProgram = changed.filter((file) => !file.startsWith("src/"));
  process.stdout.write(`${changed.length} files changed since ${base}\n`);
  const plan = new Map<Group, readonly string[]>();
  for (const [group, ofGroup] of files) {
    const selection = selectTests(ofGroup, changed, graph);
    const touched = [...selection.chosen.keys()];
    let chosen = touched;
    if ((group === "e2e" || group === "interop") && only === undefined) {
      const direct = selectTests(ofGroup, changedOutsideProgram, graph, false);
      chosen = touched.filter((file) => direct.chosen.has(file) || file === spanningFile);
    }
    process.stdout.write(`${group}: ${chosen.length} of ${ofGroup.length} files\n${reasonsOf(selection, chosen)}`);
    if (chosen.length < touched.length)
      process.stdout.write(
        `  ${touched.length - chosen.length} more run the changed program: npm test -- --only ${group} --changed\n`,
      );
    plan.set(group, chosen);
  }
  const findLint = (): readonly string[] | undefined =>
    sourcesToLint(changed, tree.files, (some) => graph.importersOf(some));
  return { tests: plan, findLint };
}

/** Returns lines for the changed files, each with the number of chosen tests that need it. */
function reasonsOf({ chosen, untested }: Selection, files: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const file of files) {
    for (const reason of chosen.get(file) ?? []) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  }
  const lines = [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(
      ([reason, count]) => `  ${String(count).padStart(4)}  ${reason === checksTree ? checksTree : `need ${reason}`}\n`,
    );
  const shown = lines.slice(0, maxLines);
  if (lines.length > maxLines) shown.push(`        and ${lines.length - maxLines} more changed files\n`);
  if (untested.length > 0) shown.push(`     0  need ${listOf(untested)}\n`);
  return shown.join("");
}

function listOf(files: readonly string[]): string {
  const shown = files.slice(0, 3).join(", ");
  return files.length > 3 ? `${shown} and ${files.length - 3} more` : shown;
}
