// Reads the imports of a source from its text. The sources are formatted by oxfmt, so a statement begins its line, and
// names of modules stand between double quotes.
import { dirname, join, normalize } from "node:path";

export interface ImportOfFile {
  /** The path of the imported file from the root, or the name of a package or of one of Node's modules. */
  readonly to: string;
  /** The position in the text where the import begins. */
  readonly at: number;
  /** Whether it is a statement `import type` or `export type`, which loads nothing. */
  readonly isOfTypes: boolean;
  /** The imported names, without those of types. It is undefined for an import without a list of names. */
  readonly names: readonly string[] | undefined;
}

const comment = String.raw`\/\/.*\n|\/\*(?:[^*]|\*(?!\/))*\*\/`;
const comments = new RegExp(comment, "g");
const statements = [
  new RegExp(String.raw`^(?:import|export)\b((?:[\w$*{}\s,]|${comment})*?)\bfrom\s+"([^"\n]+)"`, "gm"),
  /^import()\s+"([^"\n]+)"/gm,
] as const;
const calls = new RegExp(
  String.raw`(?:\{([^{}]*)\}\s*=\s*\(?\s*await\s+)?\b(?:import|require)\((?:\s|${comment})*["\`]([^"\`\n$]+)["\`]`,
  "g",
);

/**
 * Yields the imports of a source, including imports of types, re-exports, dynamic imports and types such as
 * `import("…").Name`.
 */
export function* importsOf(from: string, text: string): Generator<ImportOfFile> {
  for (const pattern of statements) {
    for (const { 1: clause = "", 2: specifier = "", index: at } of text.matchAll(pattern)) {
      const [, type, list] =
        /^\s*(type\b(?=\s*[\w{*]))?\s*(?:\{([^{}]*)\}\s*$)?/.exec(clause.replaceAll(comments, "")) ?? [];
      yield { to: targetOf(from, specifier), at, isOfTypes: type !== undefined, names: namesIn(list, " as ") };
    }
  }
  for (const { 0: call, 1: list, 2: specifier = "", index } of text.matchAll(calls)) {
    const at = index + call.search(/\b(?:import|require)\(/);
    yield { to: targetOf(from, specifier), at, isOfTypes: false, names: namesIn(list, ":") };
  }
}

/** Returns the path of an imported file from the root. The name of a package stays the same. */
export function targetOf(from: string, specifier: string): string {
  return specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : specifier;
}

/** Returns the names that a list between braces imports from the other file: `a, b as c, type D`. Leaves out types. */
function namesIn(list: string | undefined, rename: string): string[] | undefined {
  return list
    ?.split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "" && !entry.startsWith("type "))
    .map((entry) => (entry.split(rename)[0] ?? "").trim());
}

/** Returns the number of the line that contains the name of the imported file. */
export function lineOfImport(text: string, { at }: Pick<ImportOfFile, "at">): number {
  const name = text.slice(at).search(/["`]/);
  return text.slice(0, at + name).split("\n").length;
}
