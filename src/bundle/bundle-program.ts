import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as Esbuild from "esbuild";
import { marksNodeModules, withoutFacades } from "./without-facades.ts";

/**
 * Packages that become part of the bundle: they consist of many small ES modules, and each process of the mesh loads
 * them. Others stay outside, because some read files that are beside their own.
 */
const inBundle = ["@bufbuild/protobuf"];

/**
 * CommonJS packages of which each becomes a single file, for `import` and `loadPackage`. Node.js loads the 72 files of
 * `yaml` in 27 ms, and the single file in 5 ms.
 */
const inOneFile = ["commander", "dns-packet", "yaml"];

type Build = typeof Esbuild.build;

const target = "node24";

/** The names of chunks, relative to the bundle's root. Chunks and their source maps are in one directory. */
const chunkNames = "chunks/[name]-[hash]";

export function sourcesToBundle(root: string): string[] {
  const threads = globSync("src/**/*.worker.ts", { cwd: root }).filter(
    (file) => !file.startsWith("src/dashboard/web/"),
  );
  return ["src/cmd/main.ts", ...threads.toSorted()];
}

function dependenciesOf(root: string): string[] {
  const { dependencies = {} } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
    readonly dependencies?: Readonly<Record<string, string>>;
  };
  return Object.keys(dependencies);
}

/**
 * The text of an ES module that loads the package's single file and exports its names. Without it, a bundled `import()`
 * of a CommonJS package would have no named exports, and the package could not load Node.js' own modules.
 */
async function textOfPackage(name: string, root: string, build: Build): Promise<string> {
  const requireFrom = createRequire(join(root, "package.json"));
  const names = Object.keys(requireFrom(name) as object);
  const { outputFiles } = await build({
    stdin: {
      contents: `import all from ${JSON.stringify(requireFrom.resolve(name))};
        export const { ${names.join(", ")} } = all;
        export default all;`,
      // With this suffix, the default export is the whole `module.exports`, as in Node.js.
      sourcefile: "package.mjs",
      resolveDir: root,
    },
    bundle: true,
    format: "esm",
    platform: "node",
    target,
    banner: {
      js: `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`,
    },
    write: false,
    logLevel: "silent",
  });
  return outputFiles[0]?.text ?? "";
}

function bundlesPackages(root: string, names: readonly string[], build: Build): Esbuild.Plugin {
  const namespace = "package";
  return {
    name: namespace,
    setup: (bundler) => {
      bundler.onResolve({ filter: new RegExp(`^(${names.join("|")})$`) }, ({ path }) => ({ path, namespace }));
      bundler.onLoad({ filter: /.*/, namespace }, async ({ path }) => ({
        contents: await textOfPackage(path, root, build),
        resolveDir: root,
      }));
    },
  };
}

/**
 * Bundles the sources below `root` into `directory`. A module that is imported on demand becomes a file of its own.
 * Names stay as they are, for stack traces. Throws the bundler's errors.
 */
export async function bundleProgram(root: string, directory: string): Promise<void> {
  const { build, stop } = await import("esbuild");
  const dependencies = dependenciesOf(root);
  const packages = inOneFile.filter((name) => dependencies.includes(name));
  const inside = [...inBundle, ...packages];
  try {
    const { outputFiles } = await build({
      absWorkingDir: root,
      entryPoints: [
        ...sourcesToBundle(root).map((file) => ({ in: join(root, file), out: file.replace(/^src\/|\.ts$/g, "") })),
        ...packages.map((name) => ({ in: name, out: `packages/${name}` })),
      ],
      outdir: directory,
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      target,
      define: { packagesInOneFile: JSON.stringify(packages) },
      plugins: [bundlesPackages(root, packages, build), marksNodeModules],
      // Only a checkout has the bundler, which is imported on demand.
      external: ["esbuild", ...dependencies.filter((name) => !inside.includes(name))],
      chunkNames,
      sourcemap: "linked",
      sourcesContent: false,
      write: false,
      logLevel: "silent",
    });
    for (const { path, text } of outputFiles) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, path.endsWith(".js") ? withoutFacades(text) : text);
    }
  } finally {
    // The bundler is a separate process, which would outlive this one's work.
    await stop();
  }
}
