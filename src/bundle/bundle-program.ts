import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type * as Esbuild from "esbuild";
import { marksNodeModules, withoutFacades } from "./without-facades.ts";

/**
 * Packages that become part of the bundle. They consist of many small ES modules, and each process of the mesh loads
 * them. Other packages stay outside, because some of them read files beside their own.
 */
const inBundle = ["@bufbuild/protobuf"];

/**
 * CommonJS packages that become a single file each, which `import` and `loadPackage` share. Node.js takes 27 ms to load
 * the 72 files of `yaml`, and 5 ms to load the single file.
 */
const inOneFile = ["commander", "dns-packet", "yaml"];

type Build = typeof Esbuild.build;

const target = "node24";

/** The names of chunks. Chunks and their source maps are in one directory below the bundle's root. */
const chunkNames = "chunks/[name]-[hash]";

/** The files with which processes and threads start. */
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
      // The suffix makes the default export the whole of `module.exports`, as in Node.js.
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
 * Bundles the sources below `root` into `directory`. Modules that are imported on demand stay separate files, and names
 * stay unchanged for stack traces. Throws the bundler's errors.
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
      // The bundler is imported on demand, because only a checkout has it.
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
    // The bundler is a separate process, which would otherwise continue after this one has ended.
    await stop();
  }
}
