// Chooses the test files that a change can touch. Where the import graph cannot decide, it chooses more.
import { dirname } from "node:path";
import type { AllNeeds, ImportGraph } from "./import-graph.ts";

export interface Selection {
  /** Each chosen test file, with the changed files that it needs, or the reason why it always runs. */
  readonly chosen: ReadonlyMap<string, readonly string[]>;
  /** Changed files that no test needs. */
  readonly untested: readonly string[];
}

/** Files that affect every test: they contain the versions of packages, or Node reads them at its start. */
const touchesAll = new Set(["package.json", "package-lock.json", ".npmrc"]);
/** Folders of data. A test may compose the path of a file in them, so that the path is not in the test's text. */
const dataFolders = ["generated/", "manifests/", "samples/"];

export const checksTree = "it checks the whole tree";

/**
 * Whether a test always runs. Tests of scripts do, because they compare generated files, documents and the whole tree,
 * and are few and quick.
 */
const alwaysRuns = (test: string): boolean => /^scripts\/.*\.test\.ts$/.test(test);

/**
 * Chooses the tests that a change affects. The graph also has the deleted files. If `withProgram` is false, a test that
 * starts the program is chosen only for changes of the files that the test itself reads.
 */
export function selectTests(
  tests: readonly string[],
  changed: readonly string[],
  graph: ImportGraph,
  withProgram = true,
): Selection {
  const reasons = new Map<string, string[]>();
  const add = (test: string, reason: string): void => {
    reasons.set(test, [...(reasons.get(test) ?? []), reason]);
  };
  const touched = new Set<string>();
  for (const test of tests) {
    const needs = graph.allNeedsOf(test, withProgram);
    for (const file of changed) {
      if (!touchesAll.has(file) && !isNeeded(file, needs)) continue;
      touched.add(file);
      add(test, file);
    }
  }
  for (const file of changed) {
    if (touched.has(file)) continue;
    for (const test of nearbyTests(file, tests)) {
      touched.add(file);
      add(test, file);
    }
  }
  if (changed.length > 0) for (const test of tests) if (alwaysRuns(test) && !reasons.has(test)) add(test, checksTree);
  return {
    chosen: new Map(tests.filter((test) => reasons.has(test)).map((test) => [test, reasons.get(test) ?? []])),
    untested: changed.filter((file) => !touched.has(file)),
  };
}

function isNeeded(file: string, { files, folders }: AllNeeds): boolean {
  if (files.has(file)) return true;
  for (let folder = dirname(file); folder !== "."; folder = dirname(folder)) if (folders.has(folder)) return true;
  return false;
}

/**
 * Returns the tests for data that no test visibly reads: those of the nearest folder that has tests. For data of
 * several parts, returns all tests.
 */
function nearbyTests(file: string, tests: readonly string[]): readonly string[] {
  if (/\.(ts|tsx|md)$/.test(file)) return [];
  if (dataFolders.some((folder) => file.startsWith(folder))) return tests;
  for (let folder = dirname(file); folder !== "."; folder = dirname(folder)) {
    const near = tests.filter((test) => test.startsWith(`${folder}/`));
    if (near.length > 0) return near;
  }
  return [];
}
