import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { bundlePage, type PageFiles } from "./bundle-page.ts";

/** Beside this part: what `npm run build` has made for a package. */
const builtDirectory = join(import.meta.dirname, "../page");
const sourceDirectory = join(import.meta.dirname, "../web");

/** The page of this release: as it was built for a package, else bundled now from its sources. */
export async function readPageFiles(): Promise<PageFiles> {
  const names = await readdir(builtDirectory).catch((): string[] => []);
  if (!names.includes("index.html")) return await bundlePage(sourceDirectory);
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(builtDirectory, name))] as const)),
  );
}
