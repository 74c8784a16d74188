import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Packages that are bundled, because they consist of many small ES modules and each process of the mesh loads them.
 * Other packages stay outside, because a bundled import() of a CommonJS package has no named exports, and some packages
 * read files beside their own.
 */
const inBundle = ["@bufbuild/protobuf"];

/** Chunks and their source maps are one folder below the bundle's root. */
const chunkNames = "chunks/[name]-[hash]";

/** The files that processes and threads start with. */
export function sourcesToBundle(root: string): string[] {
  const threads = globSync("src/**/*.worker.ts", { cwd: root }).filter(
    (file) => !file.startsWith("src/dashboard/web/"),
  );
  return ["src/cmd/main.ts", ...threads.toSorted()];
}

function packagesOutside(root: string): string[] {
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  // The bundler is imported on demand, because only a checkout has it.
  return ["esbuild", ...Object.keys(dependencies).filter((name) => !inBundle.includes(name))];
}

/**
 * Bundles the sources below `root` into `directory`. Modules that are imported on demand stay separate files, and names
 * stay unchanged for stack traces. Throws the bundler's errors.
 */
export async function bundleProgram(root: string, directory: string): Promise<void> {
  const { build, stop } = await import("esbuild");
  try {
    await build({
      absWorkingDir: root,
      entryPoints: sourcesToBundle(root).map((file) => join(root, file)),
      outbase: join(root, "src"),
      outdir: directory,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target: "node24",
      external: packagesOutside(root),
      chunkNames,
      sourcemap: "linked",
      sourcesContent: false,
      logLevel: "silent",
    });
  } finally {
    // The bundler is a separate process, which would continue after its caller.
    await stop();
  }
}
