import { mkdirSync, mkdtempSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, stop, type Plugin } from "esbuild";
import { trafficFlags } from "../src/cmd/traffic-flags.ts";
import { deletedAtEnd } from "./scratch-folder.ts";

/**
 * Node's flags and environment for a data plane, as `bin/serin` and `src/cmd/traffic-flags.ts` set them. With them, a
 * measured process has the memory and the speed of a real one.
 */
export const productFlags = [
  "--max-semi-space-size=4",
  "--no-memory-reducer",
  "--disable-warning=ExperimentalWarning",
  ...trafficFlags,
] as const;
export const productEnv = {
  MALLOC_ARENA_MAX: "2",
  MALLOC_MMAP_THRESHOLD_: "32768",
  MALLOC_TRIM_THRESHOLD_: "131072",
} as const;

/** Creates a folder for the bundles of roles. It is deleted when this process ends. */
export function bundleFolder(): string {
  const folder = join(own, ".bundles");
  mkdirSync(folder, { recursive: true });
  return deletedAtEnd(mkdtempSync(join(folder, "bench-")));
}

const own = join(import.meta.dirname, "..");
const inBundle = "@bufbuild/protobuf";

/** The threads of the program that a role may start. */
const threads = ["proxy/workers/data-path.worker"] as const;

/**
 * Bundles a role's file from this checkout with the sources of the given checkout, in the form in which `bin/serin`
 * runs them. Returns the path of the bundle's entry. `file` is relative to the checkout. The bundle must be in a folder
 * of this checkout, because it finds its packages there. See {@link bundleFolder}.
 */
export async function bundleRole(file: string, checkout: string, directory: string): Promise<string> {
  const packages = JSON.parse(readFileSync(join(own, "package.json"), "utf8")) as Readonly<
    Record<"dependencies" | "devDependencies", Readonly<Record<string, string>>>
  >;
  const names = Object.keys({ ...packages.dependencies, ...packages.devDependencies });
  // Use this checkout's file, because the other checkout may not have it yet.
  const role: Plugin = {
    name: "role",
    setup(builder) {
      builder.onResolve({ filter: /^bench-role$/ }, () => ({ path: join(checkout, file), namespace: "role" }));
      builder.onLoad({ filter: /./, namespace: "role" }, () => ({
        contents: readFileSync(join(own, file), "utf8"),
        resolveDir: dirname(join(checkout, file)),
        loader: "ts",
      }));
    },
  };
  try {
    await build({
      absWorkingDir: checkout,
      // The program expects its threads beside cmd/main.
      entryPoints: [
        { in: "bench-role", out: "cmd/main" },
        ...threads.map((thread) => ({ in: join(checkout, "src", `${thread}.ts`), out: thread })),
      ],
      plugins: [role],
      outdir: directory,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node24",
      external: names.filter((name) => name !== inBundle),
      chunkNames: "chunks/[name]-[hash]",
      logLevel: "warning",
    });
  } finally {
    await stop();
  }
  return join(directory, "cmd/main.js");
}
