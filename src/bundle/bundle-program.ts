import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Packages that become part of the bundle: of many small ES modules, which each process of the mesh loads. The others stay
 * outside: an import() of a package in the older module format would get no names, and some read files beside themselves.
 */
const inBundle = ["@bufbuild/protobuf"];

/** Chunks lie one folder below the bundle's root, and so do maps of their lines to the sources. */
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
  // The bundler itself is there in a checkout alone, and is imported on demand.
  return ["esbuild", ...Object.keys(dependencies).filter((name) => !inBundle.includes(name))];
}

/**
 * Writes the program of the sources below `root`, into `directory`. What the sources
 * import on demand stays a file of its own. Names stay as they are, for stacks. Throws the bundler's errors.
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
    // The bundler is a process of its own, which would continue after its caller.
    await stop();
  }
}
