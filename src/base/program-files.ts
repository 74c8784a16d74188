import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * What marks the program's own folder. A module may be anywhere in a bundle, so it must not look for files beside
 * itself.
 */
const entries = ["cmd/main.ts", "cmd/main.js"];

/**
 * The variables by which bin/serin chooses whether a checkout runs from its sources or a bundle. A lab passes them on
 * to its processes and pods.
 */
export const programVariables = ["SERIN_FROM_SOURCE", "SERIN_BUNDLE"] as const;

let directory: string | undefined;

/** The folder with `cmd/main`: `src`, or its compiled form. */
export function programDirectory(): string {
  directory ??= above(import.meta.dirname, entries);
  return directory;
}

/** The root of the checkout, the package or the release: the folder with package.json, manifests and generated. */
export function packageRoot(): string {
  return above(programDirectory(), ["package.json"]);
}

let bundle: string | undefined;

/**
 * Lets a process that runs from the sources start its threads from a bundle of the same sources, because a thread then
 * needs a third of the CPU time to start. `folder` has the bundle's `cmd/main.js`. Only the test runner uses this.
 */
export function startThreadsFrom(folder: string): void {
  bundle = folder;
}

/** A file of the program that is started by its path, such as a worker thread's. `source` is its path in a checkout. */
export function programFile(source: `src/${string}.ts`): URL {
  const path = relative("src", source);
  const runsFromSource = import.meta.filename.endsWith(".ts") && bundle === undefined;
  return pathToFileURL(join(bundle ?? programDirectory(), runsFromSource ? path : path.replace(/\.ts$/, ".js")));
}

/** The packages that the bundle has as one file each. The bundler replaces this name by the list. */
declare const packagesInOneFile: readonly string[];

/** The package's file in the bundle. Undefined if the package is not in it, or if the program is not bundled. */
export function bundledPackage(name: string): string | undefined {
  if (typeof packagesInOneFile === "undefined" || !packagesInOneFile.includes(name)) return undefined;
  return join(programDirectory(), "packages", `${name}.js`);
}

function above(start: string, files: readonly string[]): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (files.some((file) => existsSync(join(folder, file)))) return folder;
    if (folder === dirname(folder)) throw new Error(`no folder above ${start} has ${files.join(" or ")}`);
  }
}
