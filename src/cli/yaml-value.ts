import { messageOf, userError } from "../base/index.ts";
import { collectionKeyFault, collectionKeyOffset } from "../base/kubernetes-yaml/index.ts";

/**
 * The value of a YAML document in the file. The parser throws errors of its own for an alias without an anchor, and for
 * aliases that would fill the memory. Both become user errors, because the file is at fault.
 */
export function yamlValue(
  file: string,
  document: { readonly toJS: () => unknown; readonly contents: unknown },
): unknown {
  if (collectionKeyOffset(document.contents) !== undefined)
    throw userError("file-invalid", `${file}: ${collectionKeyFault}`);
  try {
    return document.toJS();
  } catch (error) {
    throw userError(
      "file-invalid",
      `${file}: the aliases (*name) of its YAML cannot be resolved: ${messageOf(error)}`,
      {
        hint: "write the repeated parts out, or generate the file with fewer aliases",
      },
    );
  }
}

/** Throws a user error with the line and column of the first syntax error. */
export function refuseSyntaxErrors(
  file: string,
  document: {
    readonly errors: readonly {
      readonly message: string;
      readonly linePos?: readonly [{ readonly line: number; readonly col: number }, ...unknown[]] | undefined;
    }[];
  },
): void {
  const [syntax] = document.errors;
  if (syntax === undefined) return;
  const at = syntax.linePos?.[0];
  const place = at === undefined ? "" : `:${at.line}:${at.col}`;
  // The other lines of the parser's message quote the file.
  const fault = (syntax.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
  throw userError("file-invalid", `${file}${place}: this is not valid YAML: ${fault}`);
}
