import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, stop } from "esbuild";

/** The flags that `bin/serin` passes to Node, so that a measured process has the memory and the speed of a real one. */
export const productFlags = ["--max-semi-space-size=4", "--disable-warning=ExperimentalWarning"] as const;
export const productEnv = { MALLOC_ARENA_MAX: "2" } as const;

const own = join(import.meta.dirname, "..");
const inBundle = "@bufbuild/protobuf";

/**
 * Bundles a role's file of this checkout with the sources of a checkout, as `bin/serin` runs them. `file` is relative to
 * the checkout. The bundle must lie below this checkout, because it finds its packages there.
 */
export async function bundleRole(file: string, checkout: string, into: string): Promise<void> {
  const packages = JSON.parse(readFileSync(join(own, "package.json"), "utf8")) as Readonly<
    Record<"dependencies" | "devDependencies", Readonly<Record<string, string>>>
  >;
  const names = Object.keys({ ...packages.dependencies, ...packages.devDependencies });
  try {
    await build({
      // The other checkout may not have the file yet.
      stdin: {
        contents: readFileSync(join(own, file), "utf8"),
        resolveDir: dirname(join(checkout, file)),
        loader: "ts",
      },
      absWorkingDir: checkout,
      outfile: into,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node24",
      external: names.filter((name) => name !== inBundle),
      logLevel: "warning",
    });
  } finally {
    await stop();
  }
}
