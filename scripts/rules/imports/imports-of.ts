// Reads the imports of a source from its text. The sources are formatted by oxfmt, so a statement begins its line, and
// names of modules stand between double quotes.
import { dirname, join, normalize } from "node:path";

export interface ImportOfFile {
  /** The path of the imported file from the root, or the name of a package or of one of Node's modules. */
  readonly to: string;
  /** Where the import begins in the text. */
  readonly at: number;
}

const comment = String.raw`\/\/.*\n|\/\*(?:[^*]|\*(?!\/))*\*\/`;
const patterns = [
  new RegExp(String.raw`^(?:import|export)\b(?:[\w$*{}\s,]|${comment})*?\bfrom\s+"([^"\n]+)"`, "gm"),
  /^import\s+"([^"\n]+)"/gm,
  new RegExp(String.raw`\b(?:import|require)\((?:\s|${comment})*["\`]([^"\`\n$]+)["\`]`, "g"),
] as const;

/** Imports of types count, and so do re-exports, dynamic imports and types such as `import("…").Name`. */
export function* importsOf(from: string, text: string): Generator<ImportOfFile> {
  for (const pattern of patterns) {
    for (const match of text.matchAll(pattern)) {
      const specifier = match[1] ?? "";
      yield { to: specifier.startsWith(".") ? normalize(join(dirname(from), specifier)) : specifier, at: match.index };
    }
  }
}

/** The number of the line in which the import names the other file. */
export function lineOfImport(text: string, { at }: ImportOfFile): number {
  const name = text.slice(at).search(/["`]/);
  return text.slice(0, at + name).split("\n").length;
}
