import { stripVTControlCharacters } from "node:util";
import { withoutControls } from "../../base/index.ts";
import { columnWidths, renderTable, type CellStyle } from "./table.ts";

interface TableLayout {
  /** The terminal's width. Undefined if the output is not a terminal: scripts get complete cells. */
  readonly columns: number | undefined;
  readonly gap?: number;
  readonly style?: CellStyle;
}

/** The gap between columns in a table that is too wide with its usual gap. */
const narrowGap = 2;
/** Cells are not shortened below this width. */
const leastCell = 12;
/** The last column stays as wide as its longest word, up to this width, so that only longer words are broken. */
const leastLastCell = 24;

/**
 * Renders a table within the terminal's width. If the table is too wide, it first narrows the gaps, then wraps the last
 * column, then cuts out the middle of the widest cells. A long name in the last column is wrapped after one of its
 * separators.
 */
export function fittedTable(
  header: readonly string[],
  cells: readonly (readonly string[])[],
  { columns, gap = 3, style }: TableLayout,
): string {
  // Write out control characters before measuring, because this makes cells wider.
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

/** Narrows the columns before the last, always the widest of them, until the table fits. */
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
 * Wraps a line at its spaces. Indents the further lines by two more columns. A line that begins with `->` stays whole,
 * because it contains a command for people to copy.
 */
export function wrappedLine(line: string, columns: number | undefined): string[] {
  if (columns === undefined || visibleLength(line) <= columns || line.trimStart().startsWith("-> ")) return [line];
  const indent = line.length - line.trimStart().length;
  const hanging = " ".repeat(indent + 2);
  // The first line could be two columns wider, but that would save little.
  const [first = "", ...others] = wrappedText(piecesOf(line.slice(indent)), columns - hanging.length);
  return [`${" ".repeat(indent)}${first}`, ...others.map((text) => `${hanging}${text}`)];
}

/** Fills lines with the pieces of a text. A piece that is wider than a line stays whole. */
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

/** The parts of a piece. One that is wider than the column is split after each separator of names, such as a dot. */
function partsOf(piece: string, width: number): string[] {
  return piece.trimEnd().length <= width
    ? [piece]
    : (piece.match(/[^./|;:=]*(?:[./|;:=]+\s*|$)/g) ?? []).filter((part) => part !== "");
}

/** Replaces the middle of a text that is too wide with `…`. */
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
