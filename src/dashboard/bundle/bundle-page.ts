import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";

/** The page's files by name: `index.html`, `page.js`, `page.css`, further chunks, and `licenses.txt` of what is in them. */
export type PageFiles = ReadonlyMap<string, Uint8Array>;

/**
 * Bundles `src/dashboard/web` (some 0.2 s). For a checkout and for `npm run build`; the package carries the result, and not the bundler.
 * Throws what the bundler throws where a source is wrong.
 */
export async function bundlePage(webDirectory: string): Promise<PageFiles> {
  const { build, stop } = await import("esbuild");
  const { outputFiles } = await build({
    entryPoints: { page: join(webDirectory, "main.tsx"), layout: join(webDirectory, "graph/layout.worker.ts") },
    outdir: "/page",
    bundle: true,
    splitting: true,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    minify: true,
    legalComments: "external",
    write: false,
    logLevel: "silent",
  });
  // The bundler is a process of its own, which would go on beside whoever asked.
  await stop();
  const files = new Map<string, Uint8Array>([
    ["index.html", await readFile(join(webDirectory, "page.html"))],
    ["icon.svg", await readFile(join(webDirectory, "icon.svg"))],
  ]);
  for (const { path, contents } of outputFiles) files.set(basename(path), contents);
  return files;
}
