import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Metafile } from "esbuild";

/**
 * The page's files by name: `index.html`, `page.js`, `page.css`, further chunks, and `licenses.txt` with the licenses
 * of the code in them.
 */
export type PageFiles = ReadonlyMap<string, Uint8Array>;

/**
 * Bundles `src/dashboard/web` (about 0.2 s), for a checkout and for `npm run build`. The npm package contains the
 * result, but not the bundler. Throws the bundler's errors if the sources are faulty.
 */
export async function bundlePage(webDirectory: string): Promise<PageFiles> {
  const { build, stop } = await import("esbuild");
  const { outputFiles, metafile } = await build({
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
    metafile: true,
    write: false,
    logLevel: "silent",
  });
  // The bundler is a separate process, which would outlive this one's work.
  await stop();
  const files = new Map<string, Uint8Array>([
    [
      "index.html",
      Buffer.from(
        withPreloads(await readFile(join(webDirectory, "page.html"), "utf8"), staticImports(metafile, "page.js")),
      ),
    ],
    ["icon.svg", await readFile(join(webDirectory, "icon.svg"))],
  ]);
  for (const { path, contents } of outputFiles) files.set(basename(path), contents);
  return files;
}

/** The chunks that the entry imports statically, also through other chunks, in the order of the imports. */
function staticImports({ outputs }: Metafile, entry: string): string[] {
  const byName = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
  const found = new Set<string>();
  const visit = (name: string): void => {
    for (const { path, kind } of byName.get(name)?.imports ?? []) {
      const chunk = basename(path);
      if (kind !== "import-statement" || found.has(chunk)) continue;
      found.add(chunk);
      visit(chunk);
    }
  };
  visit(entry);
  return [...found];
}

/**
 * Adds preload links, so that browsers request the chunks together with the entry, and not only after they have read
 * it.
 */
function withPreloads(html: string, chunks: readonly string[]): string {
  const links = chunks.map((chunk) => `    <link rel="modulepreload" href="${chunk}">\n`);
  return html.replace(/ *<script type="module"/, (script) => `${links.join("")}${script}`);
}
