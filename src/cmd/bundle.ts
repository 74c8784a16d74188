import { mkdirSync, writeFileSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { userError } from "../base/index.ts";
import { bundleProgram, keepBundle, pruneCompileCache } from "../bundle/index.ts";
import { builtPage, bundlePage, pageSources } from "../dashboard/bundle/index.ts";
import type { RoleContext } from "./role.ts";

/** Other users must be able to read the bundle, because root's lab runs as another user. */
const readableByAll = 0o022;

/**
 * `serin bundle KEY`: makes the bundle of this checkout. bin/serin calls it if there is no bundle of these sources.
 * `serin bundle`: prints the key of the running bundle, for the variable SERIN_BUNDLE. Prints nothing if the sources
 * themselves run.
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
  // The compiled code of a removed bundle is useless, so it is removed too.
  const compiled = env["NODE_COMPILE_CACHE"] ?? "";
  if (isAbsolute(compiled)) pruneCompileCache({ directory: compiled, nowMs: Date.now() });
  return 0;
}

/** The program of a checkout or a release tree, compiled: processes, threads and the dashboard's page. */
export async function writeProgram(root: string, directory: string): Promise<void> {
  await bundleProgram(root, directory);
  const page = join(directory, builtPage);
  mkdirSync(page, { recursive: true });
  for (const [name, contents] of await bundlePage(join(root, "src", pageSources)))
    writeFileSync(join(page, name), contents);
}
