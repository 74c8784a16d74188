import type { ConfigMessage } from "../../../api/dashboard/index.ts";

export interface TextRange {
  readonly from: number;
  readonly to: number;
}

/**
 * The range of the key or value at a message's position. If the line has no such column, the range is the line's text.
 * If the document has no such line, it is the last line.
 */
export function rangeOfMessage(text: string, { line, column }: Pick<ConfigMessage, "line" | "column">): TextRange {
  const starts = lineStarts(text);
  const index = Math.max(0, Math.min(starts.length - 1, line - 1));
  const start = starts[index] ?? 0;
  const end = index + 1 < starts.length ? (starts[index + 1] ?? 0) - 1 : text.length;
  const source = text.slice(start, end);
  const at = Math.max(0, column - 1);
  const word = /^[^\s:,[\]{}#][^:,[\]{}#]*/.exec(source.slice(at).trimEnd())?.[0]?.trimEnd();
  if (at < source.length && word !== undefined) return { from: start + at, to: start + at + word.length };
  const first = source.search(/\S/);
  return first === -1 ? { from: start, to: end } : { from: start + first, to: start + source.trimEnd().length };
}

function lineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

const levels: Readonly<Record<ConfigMessage["level"], number>> = { Error: 0, Warning: 1, Info: 2 };

/** Sorts messages by level, the worst first, and then from top to bottom. */
export function orderMessages(messages: readonly ConfigMessage[]): readonly ConfigMessage[] {
  return messages.toSorted((a, b) => levels[a.level] - levels[b.level] || a.line - b.line || a.column - b.column);
}

/** An object's YAML without its status, which users do not edit. */
export function withoutStatus(text: string): string {
  return text.replace(/^status:.*\n?(?:[ -].*\n?|\n)*/m, "");
}

/** Whether the text has more than comments. */
export function hasContent(text: string): boolean {
  return text.split("\n").some((line) => !/^\s*(#|---|$)/.test(line));
}
