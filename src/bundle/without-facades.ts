import type { Plugin } from "esbuild";

/**
 * Marks the statements that import Node's own modules. Text in the sources that looks like such a statement, such as a
 * program for another process, has no mark.
 */
const mark = "?marked";

/** Lets the bundler write the mark that {@link withoutFacades} looks for. */
export const marksNodeModules: Plugin = {
  name: "marks-node-modules",
  setup: (bundler) =>
    bundler.onResolve({ filter: /^node:/ }, ({ path, kind }) => ({
      path: kind === "import-statement" ? `${path}${mark}` : path,
      external: true,
    })),
};

/** A marked statement with names in brackets, a default name, or a name for all. */
const markedImport = /^import (?:(\{[^}]*\})|(?:\* as )?([\w$]+)) from ("node:[\w/]+)\?marked";/gm;

/**
 * Replaces a bundled module's imports of Node's own modules by calls. For an import, Node reads all exports of its
 * module, and loads some of them only for that: `node:util`, `node:process` and `node:fs` take 3 to 5 ms each at every
 * start, and nothing by a call. The calls are on the first line, because an import precedes all other code too. The
 * number of lines stays the same, for source maps.
 */
export function withoutFacades(text: string): string {
  const calls: string[] = [];
  const rest = text.replaceAll(markedImport, (statement, names?: string, whole?: string, module?: string) => {
    const bound = names?.replaceAll(/\s+/g, " ").replaceAll(" as ", ": ") ?? whole;
    calls.push(`const ${bound} = globalThis.process.getBuiltinModule(${module}");`);
    return statement.replaceAll(/[^\n]/g, "");
  });
  const unmarked = rest.replaceAll(/(from "node:[\w/]+)\?marked"/g, '$1"');
  return calls.length === 0 ? unmarked : `${calls.join(" ")} ${unmarked}`;
}
