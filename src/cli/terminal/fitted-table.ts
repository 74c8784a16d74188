import { stripVTControlCharacters } from "node:util";
import { withoutControls } from "../../base/index.ts";
import { columnWidths, renderTable, type CellStyle } from "./table.ts";

interface TableLayout {
  /** The width of the terminal. Undefined if the output is not a terminal, so that scripts get complete cells. */
  readonly columns: number | undefined;
  readonly gap?: number;
  readonly style?: CellStyle;
}

/** The gap between columns in a table that is too wide with its usual gap. */
const narrowGap = 2;
/** The width below which cells are not shortened. */
const leastCell = 12;
/**
 * The width below which no word of the last column is broken. In a narrower column, each cell would take many short
 * lines.
 */
const leastLastCell = 24;

/**
 * Renders a table within the width of the terminal. If it is too wide, the gaps become narrower, then the last column
 * continues on further lines, then the widest cells lose their middle. A long name in the last column continues after
 * one of its separators.
 */
export function fittedTable(
  header: readonly string[],
  cells: readonly (readonly string[])[],
  { columns, gap = 3, style }: TableLayout,
): string {
  // Control characters are written out, which makes cells wider. So write them out before measuring.
  const rows = cells.map((row) => row.map(withoutControls));
  const widths = columnWidths(header, rows);
  const widthWith = (between: number): number => sum(widths) + between * (header.length - 1);
  if (columns === undefined || widthWith(gap) <= columns) return renderTable(header, rows, gap, style);
  const last = header.length - 1;
  const longestPiece = Math.max(
    (header[last] ?? "").length,
    ...rows.flatMap((row) => piecesOf(row[last] ?? "").map((piece) => Math.min(leastLastCell, piece.trimEnd().length))),
  );
  const excess = widthWith(narrowGap) - columns;
  const lastWidth = widths[last] ?? 0;
  widths[last] = Math.min(lastWidth, Math.max(longestPiece, lastWidth - Math.max(0, excess)));
  narrowWidest(header, widths, widthWith(narrowGap) - columns);
  const fitted = rows.flatMap((row) => {
    const width = widths[last] ?? 0;
    const lines = wrappedText(
      piecesOf(row[last] ?? "").flatMap((piece) => partsOf(piece, width)),
      width,
    );
    const first = row.slice(0, last).map((cell, column) => withoutMiddle(cell, widths[column] ?? 0));
    return lines.map((line, index) => [...(index === 0 ? first : first.map(() => "")), line]);
  });
  return renderTable(header, fitted, narrowGap, style);
}

/** Narrows the columns before the last one, always the widest, until the excess is gone. */
function narrowWidest(header: readonly string[], widths: number[], excess: number): void {
  const columns = [...header.keys()].slice(0, -1);
  for (let left = excess; left > 0; left -= 1) {
    const widest = columns
      .filter((column) => (widths[column] ?? 0) > Math.max(leastCell, (header[column] ?? "").length))
      .toSorted((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))[0];
    if (widest === undefined) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
}

/**
 * Wraps a line at its spaces. The lines after the first are indented two columns deeper. A line that begins with `->`
 * stays whole, because it contains a command that a person copies.
 */
export function wrappedLine(line: string, columns: number | undefined): string[] {
  if (columns === undefined || visibleLength(line) <= columns || line.trimStart().startsWith("-> ")) return [line];
  const indent = line.length - line.trimStart().length;
  const hanging = " ".repeat(indent + 2);
  // All lines get the width of the indented ones, because a wider first line would save little.
  const [first = "", ...others] = wrappedText(piecesOf(line.slice(indent)), columns - hanging.length);
  return [`${" ".repeat(indent)}${first}`, ...others.map((text) => `${hanging}${text}`)];
}

/** Fills lines with the pieces of a text. A piece that is longer than the width stays whole. */
function wrappedText(pieces: readonly string[], width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const piece of pieces) {
    if (line !== "" && visibleLength(`${line}${piece.trimEnd()}`) > width) {
      lines.push(line.trimEnd());
      line = "";
    }
    line += piece;
  }
  return [...lines, line.trimEnd()];
}

/** The parts of a text after which a line may break: words with the spaces or the comma that follow them. */
function piecesOf(text: string): string[] {
  return text.match(/[^\s,]*(?:,\s*|\s+|$)/g)?.filter((piece) => piece !== "") ?? [];
}

/** The parts of a piece that is wider than the column. Each ends with a separator of names, such as a dot. */
function partsOf(piece: string, width: number): string[] {
  return piece.trimEnd().length <= width
    ? [piece]
    : (piece.match(/[^./|;:=]*(?:[./|;:=]+\s*|$)/g) ?? []).filter((part) => part !== "");
}

/** The text, with `…` in place of its middle if it is wider than that. */
function withoutMiddle(text: string, width: number): string {
  if (text.length <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - tail)}…${text.slice(text.length - tail)}`;
}

/** The length without the escape sequences of colours. */
export function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

function sum(widths: readonly number[]): number {
  return widths.reduce((total, width) => total + width, 0);
}
