import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { programDirectory } from "../../base/index.ts";
import { bundlePage, type PageFiles } from "./bundle-page.ts";

/** The page's directory in a compiled program. */
export const builtPage = "dashboard/page";
/** The page's directory among the sources. */
export const pageSources = "dashboard/web";

/**
 * The page of this release: the one that was compiled with the program, or without it one that is bundled now from the
 * sources.
 */
export async function readPageFiles(): Promise<PageFiles> {
  const builtDirectory = join(programDirectory(), builtPage);
  const names = await readdir(builtDirectory).catch((): string[] => []);
  if (!names.includes("index.html")) return await bundlePage(join(programDirectory(), pageSources));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(builtDirectory, name))] as const)),
  );
}
