import { mkdirSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { userError } from "../base/index.ts";
import { bundleProgram, keepBundle, pruneCompileCache } from "../bundle/index.ts";
import { builtPage, bundlePage, pageSources } from "../dashboard/bundle/index.ts";
import type { RoleContext } from "./role.ts";

/**
 * The umask for the bundle. It leaves other users the right to read the files: if root starts a lab, the lab runs as
 * another user.
 */
const readableByAll = 0o022;

/**
 * `serin bundle KEY` makes the bundle of this checkout. bin/serin calls it if these sources have no bundle. `serin
 * bundle` prints the key of the running bundle, for the variable SERIN_BUNDLE, or nothing if the sources themselves
 * run.
 */
export async function run({ args, env, release }: RoleContext): Promise<number> {
  const [key] = args;
  if (key === undefined) {
    process.stdout.write(/^\.bundles\/([^/]+)\//.exec(release.entry)?.[1] ?? "");
    return 0;
  }
  if (!/^[0-9a-f]{40}$/.test(key))
    throw userError("usage", `serin bundle: "${key}" is not a key of a bundle; only bin/serin names one`);
  process.umask(readableByAll);
  await keepBundle({
    directory: join(release.root, ".bundles"),
    key,
    write: async (directory) => await writeProgram(release.root, directory),
    nowMs: Date.now(),
  });
  // The bundle that this one replaces has left compiled code, which nothing uses any more.
  const compiled = env["NODE_COMPILE_CACHE"] ?? "";
  if (isAbsolute(compiled)) pruneCompileCache({ directory: compiled, nowMs: Date.now() });
  return 0;
}

/** Bundles a checkout or a release tree: the processes, the threads and the dashboard's page. */
export async function writeProgram(root: string, directory: string): Promise<void> {
  await bundleProgram(root, directory);
  const page = join(directory, builtPage);
  mkdirSync(page, { recursive: true });
  for (const [name, contents] of await bundlePage(join(root, "src", pageSources)))
    writeFileSync(join(page, name), contents);
}
