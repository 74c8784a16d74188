import type { Plugin } from "esbuild";

/**
 * Marks statements that import Node.js' own modules. Text in the sources that only looks like such a statement, for
 * example a program for another process, gets no mark.
 */
const mark = "?marked";

/** A plugin with which the bundler marks the statements for {@link withoutFacades}. */
export const marksNodeModules: Plugin = {
  name: "marks-node-modules",
  setup: (bundler) =>
    bundler.onResolve({ filter: /^node:/ }, ({ path, kind }) => ({
      path: kind === "import-statement" ? `${path}${mark}` : path,
      external: true,
    })),
};

/** A marked statement. It imports names in braces, the default export, or all exports under one name. */
const markedImport = /^import (?:(\{[^}]*\})|(?:\* as )?([\w$]+)) from ("node:[\w/]+)\?marked";/gm;

/**
 * Replaces imports of Node.js' own modules in a bundled module with calls. For an import, Node.js reads all exports of
 * the module, and loads some only for this: `node:util`, `node:process` and `node:fs` take 3 to 5 ms each at every
 * start. A call takes no such time. The calls come first, on one line, because imports too run before all other code.
 * The number of lines stays the same, for source maps.
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
