import { internalError } from "../../../base/index.ts";

export type Piece =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "action"; readonly tokens: readonly Token[] };

export interface Token {
  readonly kind: "string" | "number" | "word" | "field" | "variable" | "mark";
  /** Without quotes, dot or dollar sign. */
  readonly text: string;
  /** Whether white space comes before it: `.a .b` are two operands, `.a.b` is one. */
  readonly apart: boolean;
}

const pattern = /\s+|"((?:\\.|[^"\\])*)"|`([^`]*)`|(-?\d+(?:\.\d+)?)|\$(\w*)|\.(\w+)|(\w+)|(:=|[().|,=])/y;

/** Splits a template into text and actions. A dash in an action removes the white space beside it. */
export function piecesOf(template: string, name: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trims = false;
  while (at < template.length) {
    const open = template.indexOf("{{", at);
    const text = template.slice(at, open === -1 ? undefined : open);
    const dashed = open !== -1 && template.startsWith("- ", open + 2);
    const left = trims ? text.trimStart() : text;
    pieces.push({ kind: "text", text: dashed ? left.trimEnd() : left });
    if (open === -1) break;
    const { tokens, end, trimsAfter } = actionAt(template, open + (dashed ? 3 : 2), name);
    pieces.push({ kind: "action", tokens });
    trims = trimsAfter;
    at = end;
  }
  return pieces;
}

/** Reads an action up to its end. Braces inside strings do not end it. */
function actionAt(
  template: string,
  from: number,
  name: string,
): { readonly tokens: Token[]; readonly end: number; readonly trimsAfter: boolean } {
  const tokens: Token[] = [];
  let at = from;
  let apart = true;
  for (;;) {
    if (template.startsWith("}}", at)) return { tokens, end: at + 2, trimsAfter: false };
    if (apart && template.startsWith("-}}", at)) return { tokens, end: at + 3, trimsAfter: true };
    pattern.lastIndex = at;
    const found = pattern.exec(template);
    if (found === null)
      throw internalError("template-syntax", `${name}: cannot be read at: ${template.slice(at, at + 40)}`);
    at = pattern.lastIndex;
    const token = tokenOf(found);
    if (token !== undefined) tokens.push({ ...token, apart });
    apart = token === undefined;
  }
}

function tokenOf([, quoted, raw, number, variable, field, word, mark]: RegExpExecArray):
  | Omit<Token, "apart">
  | undefined {
  if (quoted !== undefined) return { kind: "string", text: JSON.parse(`"${quoted}"`) as string };
  if (raw !== undefined) return { kind: "string", text: raw };
  if (number !== undefined) return { kind: "number", text: number };
  if (variable !== undefined) return { kind: "variable", text: variable };
  if (field !== undefined) return { kind: "field", text: field };
  if (word !== undefined) return { kind: "word", text: word };
  if (mark !== undefined) return { kind: "mark", text: mark };
  return undefined;
}
