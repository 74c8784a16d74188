import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { bundlePage, type PageFiles } from "./bundle-page.ts";

/** The directory of the page in a package, which `npm run build` makes. */
const builtDirectory = join(import.meta.dirname, "../page");
const sourceDirectory = join(import.meta.dirname, "../web");

/** The page of this release: the one built for the package, else bundled now from the sources. */
export async function readPageFiles(): Promise<PageFiles> {
  const names = await readdir(builtDirectory).catch((): string[] => []);
  if (!names.includes("index.html")) return await bundlePage(sourceDirectory);
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(builtDirectory, name))] as const)),
  );
}
