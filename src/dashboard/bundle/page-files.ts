import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { programDirectory } from "../../base/index.ts";
import { bundlePage, type PageFiles } from "./bundle-page.ts";

/** The page's directory relative to a compiled program. */
export const builtPage = "dashboard/page";
/** The page's directory relative to the sources. */
export const pageSources = "dashboard/web";

/** The page of this release. It was bundled with the program, or is bundled from the sources now. */
export async function readPageFiles(): Promise<PageFiles> {
  const builtDirectory = join(programDirectory(), builtPage);
  const names = await readdir(builtDirectory).catch((): string[] => []);
  if (!names.includes("index.html")) return await bundlePage(join(programDirectory(), pageSources));
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(builtDirectory, name))] as const)),
  );
}
