import type { Plugin } from "esbuild";

/**
 * The mark of statements that import Node.js' own modules. Text in the sources that only looks like such a statement,
 * such as a program for another process, has no mark.
 */
const mark = "?marked";

/** A plugin that makes the bundler add the mark for which {@link withoutFacades} searches. */
export const marksNodeModules: Plugin = {
  name: "marks-node-modules",
  setup: (bundler) =>
    bundler.onResolve({ filter: /^node:/ }, ({ path, kind }) => ({
      path: kind === "import-statement" ? `${path}${mark}` : path,
      external: true,
    })),
};

/** Matches a marked statement. It imports names in braces, the default export, or all exports under one name. */
const markedImport = /^import (?:(\{[^}]*\})|(?:\* as )?([\w$]+)) from ("node:[\w/]+)\?marked";/gm;

/**
 * Replaces a bundled module's imports of Node.js' own modules by calls. For an import, Node.js reads all exports of the
 * module, and some of them are loaded only for this: importing `node:util`, `node:process` and `node:fs` takes 3 to 5
 * ms each at every start. A call takes no such time. The calls are on the first line, because imports too run before
 * all other code. The number of lines stays the same, for source maps.
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
