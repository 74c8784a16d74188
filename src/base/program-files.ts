import { existsSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { pathToFileURL } from "node:url";

/**
 * The program's own folders and files. A module may be anywhere in a bundle, so it must not look for files beside
 * itself.
 */
const entries = ["cmd/main.ts", "cmd/main.js"];

/**
 * The environment variables by which bin/serin chooses the form in which a checkout runs. A lab passes them on to its
 * own processes and to its pods.
 */
export const programVariables = ["SERIN_FROM_SOURCE", "SERIN_BUNDLE"] as const;

let directory: string | undefined;

/** The folder with `cmd/main`: `src`, or its compiled form. */
export function programDirectory(): string {
  directory ??= above(import.meta.dirname, entries);
  return directory;
}

/** The root of the checkout, the package or the release tree: the folder with package.json, manifests and generated. */
export function packageRoot(): string {
  return above(programDirectory(), ["package.json"]);
}

let bundle: string | undefined;

/**
 * Lets a process that runs from the sources start its threads from a bundle of the same sources, because a thread then
 * takes a third of the processor time to start. `folder` contains the bundle's `cmd/main.js`. Only the test runner uses
 * this: `bin/serin` runs from a bundle as a whole.
 */
export function startThreadsFrom(folder: string): void {
  bundle = folder;
}

/** A file of the program that is started by its path, such as a worker thread. `source` is its path in a checkout. */
export function programFile(source: `src/${string}.ts`): URL {
  const path = relative("src", source);
  const runsFromSource = import.meta.filename.endsWith(".ts") && bundle === undefined;
  return pathToFileURL(join(bundle ?? programDirectory(), runsFromSource ? path : path.replace(/\.ts$/, ".js")));
}

/** The packages that are one file each in the bundle. The bundler replaces this name by their names. */
declare const packagesInOneFile: readonly string[];

/** The package's file in the bundle. Undefined for packages outside it, and in a program that is not bundled. */
export function bundledPackage(name: string): string | undefined {
  if (typeof packagesInOneFile === "undefined" || !packagesInOneFile.includes(name)) return undefined;
  return join(programDirectory(), "packages", `${name}.js`);
}

/** The nearest folder, from `start` upwards, that has one of these files. */
function above(start: string, files: readonly string[]): string {
  for (let folder = start; ; folder = dirname(folder)) {
    if (files.some((file) => existsSync(join(folder, file)))) return folder;
    if (folder === dirname(folder)) throw new Error(`no folder above ${start} has ${files.join(" or ")}`);
  }
}
