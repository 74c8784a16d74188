import { malformed } from "./malformed.ts";

export interface Piece {
  readonly isAction: boolean;
  readonly text: string;
}

export function piecesOf(text: string): Piece[] {
  const pieces: Piece[] = [];
  let at = 0;
  let trimNext = false;
  const push = (raw: string, trimEnd: boolean): void => {
    const start = trimNext ? raw.trimStart() : raw;
    const plain = trimEnd ? start.trimEnd() : start;
    if (plain !== "") pieces.push({ isAction: false, text: plain });
  };
  for (let open = text.indexOf("{{"); open >= 0; open = text.indexOf("{{", at)) {
    const trims = /^-\s/.test(text.slice(open + 2, open + 4));
    const start = open + (trims ? 4 : 2);
    const end = endOfAction(text, start);
    if (end === undefined) throw malformed(`"${text.slice(open, open + 40)}" is not closed`);
    push(text.slice(at, open), trims);
    at = end + 2;
    trimNext = end - start >= 2 && /^\s-$/.test(text.slice(end - 2, end));
    const action = text.slice(start, trimNext ? end - 2 : end).trim();
    if (!action.startsWith("/*")) pieces.push({ isAction: true, text: action });
  }
  push(text.slice(at), false);
  return pieces;
}

/**
 * The position of the braces that close an action. Braces in strings and comments do not close it. Each character is
 * read only once.
 */
function endOfAction(text: string, start: number): number | undefined {
  let at = start;
  while (at < text.length) {
    const char = text[at] ?? "";
    if (char === "}" && text[at + 1] === "}") return at;
    const closed = text.startsWith("/*", at)
      ? afterEnd(text, at + 2, "*/")
      : char === "`"
        ? afterEnd(text, at + 1, "`")
        : char === '"'
          ? afterQuoted(text, at + 1)
          : at + 1;
    if (closed === undefined) return undefined;
    at = closed;
  }
  return undefined;
}

function afterEnd(text: string, from: number, end: string): number | undefined {
  const found = text.indexOf(end, from);
  return found < 0 ? undefined : found + end.length;
}

function afterQuoted(text: string, from: number): number | undefined {
  for (let at = from; at < text.length; at += text[at] === "\\" ? 2 : 1) if (text[at] === '"') return at + 1;
  return undefined;
}
